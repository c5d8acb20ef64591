"""Configs as records: names of fields, and that nothing changes them."""

import copy
import dataclasses
import inspect
import json
import pickle
import typing

import pytest

from bigbird_tf import BigBirdConfig, BigBirdPegasusConfig
from bigbird_tf.attention.pattern.pattern_spec import ATTENTION_TYPES
from tests.config.test_big_bird_config import THREE


class TestNames:
    def test_the_nearest_field_is_named(self):
        with pytest.raises(
            TypeError, match=r"no field `num_random_block`. Did you mean `num_random_blocks`\?"
        ):
            BigBirdConfig(num_random_block=2)
        with pytest.raises(TypeError, match=r"Did you mean `attention_type`\?.*='original_full'"):
            BigBirdConfig().replace(atention_type="original_full")
        with pytest.raises(TypeError, match=r"has no field `flavour`. It has vocab_size, "):
            BigBirdConfig(flavour="sweet")
        with pytest.raises(TypeError, match=r"takes its fields by name.*Received: 50358"):
            BigBirdConfig(50358)

    def test_overrides_are_checked_before_a_file_is_looked_for(self):
        with pytest.raises(TypeError, match=r"Did you mean `block_size`\?"):
            BigBirdConfig.from_pretrained("no/such/directory", blok_size=2)

    def test_unknown_fields_of_a_file_are_kept(self, tmp_path):
        theirs = {"architectures": ["BigBirdModel"], "torch_dtype": "float32", "block_size": 16}
        (tmp_path / "config.json").write_text(json.dumps(theirs))
        loaded = BigBirdConfig.from_pretrained(tmp_path, num_hidden_layers=1)
        assert loaded.extra == {"architectures": ["BigBirdModel"], "torch_dtype": "float32"}
        loaded.save_pretrained(tmp_path)
        assert theirs.items() <= json.loads((tmp_path / "config.json").read_text()).items()
        assert loaded.replace(extra={"architectures": ["Other"]}).extra == {
            "architectures": ["Other"]
        }
        assert BigBirdConfig.from_dict({"a": 1, "extra": {"b": 2}}).extra == {"a": 1, "b": 2}

    @pytest.mark.parametrize("config_class", [BigBirdConfig, BigBirdPegasusConfig])
    def test_editors_see_all_fields_with_types_and_defaults(self, config_class):
        parameters = inspect.signature(config_class).parameters
        assert {p.kind for p in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
        types = typing.get_type_hints(config_class)
        default = config_class()
        for field in dataclasses.fields(config_class):
            parameter = parameters[field.name]
            assert parameter.annotation == types[field.name]
            if field.name != "extra":
                assert parameter.default == getattr(default, field.name)
        assert typing.get_args(types["attention_type"]) == ATTENTION_TYPES
        # All are checked.
        names = {field.name for field in dataclasses.fields(config_class)}
        assert set(config_class._checks) == names


class TestImmutable:
    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("block_size", r"cannot be changed.*config = config\.replace\(block_size=32\)"),
            ("blok_size", r"cannot be changed.*config\.replace\(block_size=32\)"),
            ("extra", r"cannot be changed.*config\.replace\(extra=32\)"),
        ],
    )
    def test_assignment(self, name, message):
        changed = BigBirdConfig()
        with pytest.raises(dataclasses.FrozenInstanceError, match=message):
            setattr(changed, name, 32)
        assert changed == BigBirdConfig()

    def test_deletion(self):
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot be changed"):
            del BigBirdConfig().block_size

    def test_dictionaries(self):
        names = {0: "a", 1: "b"}
        nested = {"list": [1]}
        made = BigBirdConfig(id2label=names, extra=nested)
        names[2] = "c"
        nested["list"].append(2)
        assert (made.id2label, made.extra) == ({0: "a", 1: "b"}, {"list": [1]})
        for change in (
            lambda: made.id2label.update({2: "c"}),
            lambda: made.label2id.pop("a"),
            lambda: made.id2label.__setitem__(2, "c"),
            lambda: made.extra.clear(),
            lambda: made.extra.setdefault("block_size", 2),
        ):
            with pytest.raises(TypeError, match=r"cannot be changed.*config\.replace"):
                change()
        made.to_dict()["id2label"]["2"] = "c"
        assert made == BigBirdConfig(id2label={0: "a", 1: "b"}, extra={"list": [1]})

    def test_equal_hashed_copied_pickled(self):
        made = BigBirdConfig(id2label=THREE, eos_token_id=[2, 3], extra={"a": [1, {"b": None}]})
        same = BigBirdConfig.from_dict(json.loads(json.dumps(made.to_dict())))
        for other in (
            same,
            copy.copy(made),
            copy.deepcopy(made),
            pickle.loads(pickle.dumps(made)),
            dataclasses.replace(made, block_size=64),
        ):
            assert other == made
            assert hash(other) == hash(made)
            with pytest.raises(dataclasses.FrozenInstanceError):
                other.block_size = 2
            with pytest.raises(TypeError, match="cannot be changed"):
                other.id2label[5] = "d"
        assert made != made.replace(block_size=32)
        assert len({made, same, made.replace(block_size=32)}) == 2
