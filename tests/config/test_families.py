import json

import pytest

from bigbird_tf import BigBirdConfig, BigBirdPegasusConfig
from bigbird_tf.config import config_of_any_family, deserialize_config, serialize_config


@pytest.mark.parametrize("config", [BigBirdConfig(block_size=8), BigBirdPegasusConfig(d_model=32)])
def test_dictionaries_say_of_which_family_they_are(config, tmp_path):
    fields = json.loads(json.dumps(serialize_config(config)))
    assert fields["model_type"] == config.model_type
    assert deserialize_config(fields) == config
    assert deserialize_config(config) is config
    config.save_pretrained(tmp_path)
    assert config_of_any_family(tmp_path) == config
    assert config_of_any_family(tmp_path, use_bias=False).use_bias is False


def test_without_a_family_it_is_big_bird():
    assert deserialize_config({"block_size": 8}) == BigBirdConfig(block_size=8)


@pytest.mark.parametrize("model_type", ["bert", ["big_bird"]])
def test_another_family(model_type, tmp_path):
    fields = {"model_type": model_type}
    with pytest.raises(ValueError, match=r"config of a 'big_bird' model. Received: model_type="):
        deserialize_config(fields)
    (tmp_path / "config.json").write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=r"config\.json is no config of ours: .*model_type="):
        config_of_any_family(tmp_path)
