"""What holds for the SavedModels of all heads."""

import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import BigBirdConfig, models
from bigbird_tf.preprocessing import BigBirdTokenizer
from bigbird_tf.serving import export_saved_model
from bigbird_tf.serving.export import SERVABLES, make_servable
from tests.preprocessing.conftest import train_vocabulary
from tests.serving.allowed_ops import TENSORFLOW_OPS, TEXT_OPS
from tests.serving.conftest import MAX_LENGTH, TEXTS, small_config
from tests.serving.saved_graphs import function_names, nodes_of, ops_of

ROOT = Path(__file__).parents[2]
# Whose servables are here with others; what differs has tests by head.
LEFT_OUT = {f"BigBirdPegasusFor{head}" for head in ("QuestionAnswering", "SequenceClassification")}
CLASSES = sorted(SERVABLES.keys() - LEFT_OUT)


def string_inputs(class_name, texts) -> dict:
    if class_name == "BigBirdForQuestionAnswering":
        return {"question": [f"who {i}?" for i in range(len(texts))], "context": texts}
    if class_name == "BigBirdForMultipleChoice":
        return {"text": texts, "choices": [["a bird", f"house {i}", ""] for i in range(len(texts))]}
    if "CausalLM" in class_name:
        texts = [text[:50] for text in texts]
    if class_name in ("BigBirdForMaskedLM", "BigBirdForPreTraining"):
        return {"text": [f"{text} [MASK]" * (i % 3) for i, text in enumerate(texts)]}
    return {"text": texts}


def id_inputs(class_name, length=37) -> dict:
    shape = (2, 3, length) if class_name == "BigBirdForMultipleChoice" else (3, length)
    generator = np.random.default_rng(length)
    mask = np.ones(shape, np.int32)
    mask[1, ..., -5:] = 0
    ids = generator.integers(7, 117, shape).astype(np.int32)
    ids[..., 6] = 4
    inputs = {"input_ids": ids, "attention_mask": mask}
    inputs["token_type_ids"] = (np.arange(length) > 6).astype(np.int32) * np.ones_like(ids)
    if class_name.startswith("BigBirdPegasus"):
        del inputs["token_type_ids"]
    return inputs


def assert_close(actual: dict, expected: dict, **tolerance):
    assert sorted(actual) == sorted(expected)
    for name, value in expected.items():
        value = np.asarray(value)
        assert actual[name].dtype == value.dtype, name
        if value.dtype.kind == "f":
            np.testing.assert_allclose(actual[name], value, err_msg=name, **tolerance)
        else:
            np.testing.assert_array_equal(actual[name], value, err_msg=name)


def test_every_model_has_a_servable():
    assert set(models.__all__) - set(SERVABLES) == {"BigBirdPegasusModel"}


@pytest.mark.slow
def test_a_fresh_process_with_tensorflow_text_only(exported, tmp_path):
    """It gives for every signature what this process gives, with our package out of reach.

    Of the heads whose graphs around the model differ; ops of the others are looked at below.
    """
    heads = ("CausalLM", "MaskedLM", "MultipleChoice", "QuestionAnswering", "TokenClassification")
    names = [f"BigBirdFor{head}" for head in heads] + ["BigBirdPegasusForConditionalGeneration"]
    requests, expected = [], []
    for name in names:
        servable = exported(name)
        for signature in servable.loaded.signatures:
            if signature == "from_ids":
                inputs = id_inputs(name)
            elif signature == "pair":
                inputs = {"text": TEXTS, "text_pair": TEXTS[::-1]}
            else:
                inputs = string_inputs(name, TEXTS)
            requests.append((str(servable.folder), signature, inputs))
            expected.append(servable.run(signature, **inputs))
    (tmp_path / "requests").write_bytes(pickle.dumps(requests))
    script = ROOT / "tests/serving/run_saved_models.py"
    command = [sys.executable, "-I", script, tmp_path / "requests", tmp_path / "results"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    results = pickle.loads((tmp_path / "results").read_bytes())
    assert len(results) >= 2 * len(names)
    for actual, value in zip(results, expected, strict=True):
        assert_close(actual, value, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
class TestEveryHead:
    @pytest.fixture(scope="class", params=CLASSES)
    @classmethod
    def name(cls, request):
        """Of the class, so that all tests of a head follow each other."""
        return request.param

    def test_from_ids_is_the_model(self, exported, name):
        servable = exported(name)
        for length in (13, 37, MAX_LENGTH):
            inputs = id_inputs(name, length)
            model, is_summary = servable.model, "ConditionalGeneration" in name
            expected = {"tokens": model.generate(inputs)} if is_summary else model(inputs)
            only = "sentence_embedding" if name == "BigBirdForSentenceEmbedding" else "logits"
            expected = expected if isinstance(expected, dict) else {only: expected}
            expected = {key: np.asarray(value) for key, value in expected.items()}
            actual = servable.run("from_ids", **inputs)
            assert_close(actual, expected, rtol=1e-4, atol=1e-4)

    def test_a_text_does_not_depend_on_its_batch(self, exported, name):
        servable = exported(name)
        inputs = string_inputs(name, TEXTS)
        together = servable.run(**inputs)
        for i in range(len(TEXTS)):
            alone = servable.run(**{key: value[i : i + 1] for key, value in inputs.items()})
            for key, value in alone.items():
                # Other texts of the batch may have more masks or spans: padding then.
                whole = np.array(together[key][i])
                row = whole[tuple(slice(size) for size in value.shape[1:])]
                if value.dtype.kind == "f":
                    np.testing.assert_allclose(row, value[0], rtol=1e-5, atol=1e-5, err_msg=key)
                else:
                    np.testing.assert_array_equal(row, value[0], err_msg=key)
                assert sum(map(bool, whole.flat)) == sum(map(bool, row.flat))

    def test_empty_batch(self, exported, name):
        servable = exported(name)
        inputs = {key: [] for key in string_inputs(name, TEXTS)}
        if "choices" in inputs:
            inputs["choices"] = np.zeros((0, 2), object)
        assert {len(value) for value in servable.run(**inputs).values()} == {0}

    def test_strange_texts(self, exported, name):
        """All are answered, and the model after them as before."""
        servable = exported(name)
        strange = ["", " \t\n ", b"\xff\xfe broken \x80", "nul \0 byte", "\u202e\ufeff\U0001f426"]
        if "CausalLM" not in name:
            strange.append("a" * 503)
        before = servable.run(**string_inputs(name, TEXTS[:2]))
        inputs = string_inputs(name, ["x"] * len(strange))
        inputs["context" if "context" in inputs else "text"] = strange
        for value in servable.run(**inputs).values():
            assert len(value) == len(strange)
            assert value.dtype.kind != "f" or np.isfinite(value).all()
        assert_close(servable.run(**string_inputs(name, TEXTS[:2])), before)

    def test_ops(self, exported, name):
        folder = exported(name).folder
        assert ops_of(folder) - TENSORFLOW_OPS - TEXT_OPS == set()

    def test_strings_are_on_the_cpu_and_out_of_loops(self, exported, name):
        """A placer that puts the vocabulary's resource into a GPU's loop or branch would fail."""
        found = 0
        for function, node in nodes_of(exported(name).folder):
            if node.op in TEXT_OPS - {"SentencepieceOp"}:
                found += 1
                assert node.device.endswith("CPU:0"), (function, node.name)
                assert not any(word in function for word in ("while", "cond", "map")), function
        assert found

    def test_size(self, exported, name):
        """Weights are in their file only, and the graph is there once for all signatures."""
        servable = exported(name)
        weights = sum(4 * int(np.prod(weight.shape)) for weight in servable.model.weights)
        variables = sum(f.stat().st_size for f in (servable.folder / "variables").iterdir())
        assert weights <= variables <= weights + 12000  # And an index of names.
        largest = max(
            node.ByteSize() for _, node in nodes_of(servable.folder) if node.op == "Const"
        )
        # Names of the weights in the checkpoint; tables of random blocks, a byte for each.
        assert largest < (10_000 if "Pegasus" in name else 8000)
        functions = function_names(servable.folder)
        assert sum("_encode_" in function for function in functions) == 1

    def test_the_vocabulary_is_in_the_graph_once(self, exported, name):
        servable = exported(name)
        graph = (servable.folder / "saved_model.pb").read_bytes()
        vocabulary = (servable.folder / "assets/spiece.model").read_bytes()
        middle = len(vocabulary) // 2
        assert graph.count(vocabulary[middle : middle + 100]) == 1

    def test_assets(self, exported, name):
        servable = exported(name)
        assets = servable.folder / "assets"
        vocabulary = assets / "spiece.model"
        assert BigBirdTokenizer(vocabulary).vocab_size == servable.tokenizer.vocab_size
        has_labels = name.endswith(("ForSequenceClassification", "ForTokenClassification"))
        assert (assets / "labels.txt").exists() == has_labels
        if has_labels:
            labels = (assets / "labels.txt").read_text().splitlines()
            assert labels == list(servable.model.config.id2label.values())


@pytest.mark.parametrize(
    "name", ["BigBirdModel", "BigBirdForMultipleChoice", "BigBirdForQuestionAnswering"]
)
class TestBadIds:
    @pytest.mark.parametrize("bad", [-1, 131, 2**31 - 1])
    def test_ids_out_of_the_vocabulary(self, exported, name, bad):
        inputs = id_inputs(name)
        inputs["input_ids"][..., 3] = bad
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"`input_ids` must be in \[0"):
            exported(name, on_ids=True).run("from_ids", **inputs)

    @pytest.mark.parametrize("short", ["attention_mask", "token_type_ids"])
    @pytest.mark.parametrize("length", [1, 36])
    def test_shapes_that_differ(self, exported, name, short, length):
        inputs = id_inputs(name)
        inputs[short] = inputs[short][..., :length]
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"`{short}` must be of the shape"):
            exported(name, on_ids=True).run("from_ids", **inputs)

    def test_no_tokens(self, exported, name):
        inputs = {key: value[..., :0] for key, value in id_inputs(name).items()}
        with pytest.raises(tf.errors.InvalidArgumentError, match="one token at least"):
            exported(name, on_ids=True).run("from_ids", **inputs)

    def test_too_many_tokens(self, exported, name):
        with pytest.raises(tf.errors.InvalidArgumentError, match="max_position_embeddings"):
            exported(name, on_ids=True).run("from_ids", **id_inputs(name, MAX_LENGTH + 1))

    def test_all_zero_mask(self, exported, name):
        inputs = id_inputs(name)
        inputs["attention_mask"][:] = 0
        for value in exported(name, on_ids=True).run("from_ids", **inputs).values():
            assert np.isfinite(value).all()

    def test_wrong_dtype(self, exported, name):
        inputs = {key: tf.constant(value, tf.float32) for key, value in id_inputs(name).items()}
        with pytest.raises((tf.errors.InvalidArgumentError, TypeError), match="float"):
            exported(name, on_ids=True).loaded.signatures["from_ids"](**inputs)


@pytest.mark.slow
@pytest.mark.parametrize("hidden_act", ["gelu", "relu", "silu", "gelu_new"])
def test_ops_of_activations_and_sampling(tokenizer, tmp_path, hidden_act):
    model = models.BigBirdForCausalLM(small_config(hidden_act=hidden_act, is_decoder=True))
    generation = {"do_sample": True, "top_p": 0.9}
    folder = export_saved_model(model, tmp_path, tokenizer, generation=generation, max_new_tokens=7)
    assert ops_of(folder) - TENSORFLOW_OPS - TEXT_OPS == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"num_random_blocks": 0},
        {"num_window_blocks": (2, 0), "num_global_blocks": (1, 0)},
        {"num_window_blocks": 5, "num_global_blocks": (0, 2)},
    ],
    ids=str,
)
def test_other_patterns(tmp_path, fields):
    model = models.BigBirdForTokenClassification(small_config(**fields))
    default = models.BigBirdForTokenClassification(small_config())
    default.set_weights(model.get_weights())
    run = tf.saved_model.load(str(export_saved_model(model, tmp_path))).signatures["from_ids"]
    for length in (13, MAX_LENGTH):
        inputs = id_inputs("", length)
        found = run(**{name: tf.constant(value) for name, value in inputs.items()})["logits"]
        np.testing.assert_allclose(found, model(inputs), rtol=1e-4, atol=1e-4)
        # The pattern counts where attention is sparse.
        differs = np.abs(found - default(inputs)).max() > 1e-3
        assert differs == (length > 28)


class TestArguments:
    def test_other_models(self, tokenizer, tmp_path):
        with pytest.raises(TypeError, match=r"`model` must be one of .*BigBirdForCausalLM.*Dense"):
            export_saved_model(keras.layers.Dense(3), tmp_path, tokenizer)

    def test_unknown_options(self, exported, tmp_path):
        model = exported("BigBirdForSequenceClassification").model
        with pytest.raises(TypeError, match=r"no option num_best for .*max_length, weight_dtype"):
            make_servable(model, None, num_best=3)

    def test_not_a_tokenizer(self, exported):
        with pytest.raises(TypeError, match=r"`tokenizer` must be a `BigBirdTokenizer`.*: str"):
            make_servable(exported("BigBirdModel").model, "spiece.model")

    def test_another_models_tokenizer(self, tokenizer):
        model = models.BigBirdModel(small_config(vocab_size=101))
        with pytest.raises(ValueError, match=r"`tokenizer` must not have more.*vocab_size=101"):
            make_servable(model, tokenizer)

    @pytest.mark.parametrize("value", [7, MAX_LENGTH + 1, 32.0, True])
    def test_impossible_max_length(self, exported, tokenizer, value):
        with pytest.raises(ValueError, match=f"`max_length` must be .*{value}"):
            make_servable(exported("BigBirdModel").model, tokenizer, max_length=value)

    @pytest.mark.parametrize(
        ("name", "option", "value"),
        [
            ("BigBirdForQuestionAnswering", "num_best", 0),
            ("BigBirdForQuestionAnswering", "max_answer_length", 1.5),
            ("BigBirdForQuestionAnswering", "doc_stride", 57),
            ("BigBirdForMaskedLM", "num_best", 132),
            ("BigBirdForCausalLM", "max_new_tokens", MAX_LENGTH),
            ("BigBirdModel", "weight_dtype", "float8"),
        ],
    )
    def test_impossible_options(self, exported, tokenizer, name, option, value):
        with pytest.raises(ValueError, match=f"`{option}` must be"):
            make_servable(exported(name).model, tokenizer, **{option: value})

    def test_masks_without_a_mask_piece(self, exported):
        tokenizer = BigBirdTokenizer(train_vocabulary(user_defined_symbols=["[CLS]", "[SEP]"]))
        with pytest.raises(ValueError, match=r"`tokenizer` must have the piece '\[MASK\]'"):
            make_servable(exported("BigBirdForMaskedLM").model, tokenizer)

    def test_without_a_tokenizer(self, exported, tmp_path):
        model = exported("BigBirdForSequenceClassification").model
        with pytest.raises(ValueError, match="`warmup` needs a `tokenizer`"):
            export_saved_model(model, tmp_path, warmup=True)
        assert list(tmp_path.iterdir()) == []
        folder = export_saved_model(model, tmp_path)
        loaded = tf.saved_model.load(str(folder))
        inputs = id_inputs("", 19)
        for signature in ("serving_default", "from_ids"):
            logits = loaded.signatures[signature](**{k: tf.constant(v) for k, v in inputs.items()})
            np.testing.assert_allclose(
                logits["logits"], model(inputs, training=False), rtol=1e-4, atol=1e-4
            )
        assert not (folder / "assets/spiece.model").exists()


@pytest.mark.slow
def test_size_by_depth(tmp_path):
    """Layers with twelve heads, for 4096 tokens: the graph is small beside base weights."""
    vocabulary, depth = train_vocabulary(), 4
    config = BigBirdConfig(
        vocab_size=131,
        hidden_size=48,
        num_hidden_layers=depth,
        intermediate_size=23,
        sep_token_id=4,
        num_random_blocks=3,
    )
    model = models.BigBirdForQuestionAnswering(config)
    folder = export_saved_model(model, tmp_path, BigBirdTokenizer(vocabulary))
    graph = (folder / "saved_model.pb").stat().st_size
    # Weights of base size are 500 MB. A layer's nodes, with their names and shapes, are 370 KB;
    # what cuts texts and decodes answers, in two signatures, 1.1 MB.
    assert graph < len(vocabulary) + 1_200_000 + depth * 380_000
    tables = [
        tf.make_ndarray(node.attr["value"].tensor)
        for function, node in nodes_of(folder)
        if node.op == "Const" and "attention" in function
    ]
    tables = [table for table in tables if table.ndim == 3 and table.shape[1:] == (12, 3)]
    # One table a layer, all different. Lengths share rows: few more than the 62 of the longest.
    assert len(tables) == len({table.tobytes() for table in tables}) == depth
    assert {table.dtype for table in tables} == {np.dtype(np.uint8)}
    assert all(62 <= len(table) < 150 for table in tables)


class TestFailures:
    @pytest.mark.slow
    @pytest.mark.parametrize("file", ["saved_model.pb", "variables/variables.data-00000-of-00001"])
    def test_truncated_saved_model(self, exported, tmp_path, file):
        folder = shutil.copytree(exported("BigBirdModel").folder, tmp_path / "1")
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[: len(content) // 2])
        # TensorFlow's own reader of checkpoints ends in an IndexError.
        with pytest.raises((OSError, tf.errors.OpError, IndexError)):
            tf.saved_model.load(str(folder))
