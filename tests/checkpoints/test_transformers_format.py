"""Checkpoints in the form of `transformers`: all tensors are loaded, or none and it is said why."""

import json
import re

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bigbird_tf.checkpoints import transformers_format
from bigbird_tf.models import (
    BigBirdForQuestionAnswering,
    BigBirdForSequenceClassification,
    BigBirdModel,
)
from tests.checkpoints.test_tensor_files import write_shards
from tests.contract import randomize, tiny_config

QUERY = "bert.encoder.layer.1.attention.self.query.weight"


def change(directory, edit):
    """Lets a function edit the tensors of a saved model."""
    file = directory / "model.safetensors"
    tensors = load_file(file)
    tensors = edit(tensors) or tensors
    save_file(tensors, file)
    return tensors


def assert_same_weights(found, expected):
    assert len(found.weights) == len(expected.weights)
    for one, other in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)


class TestStoredDtype:
    @pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 2**-10), ("bfloat16", 2**-7)])
    def test_half_the_size_and_nearly_the_same_weights(
        self, model, saved, tmp_path, dtype, tolerance
    ):
        model.save_pretrained(tmp_path / "half", dtype=dtype)
        sizes = [(path / "model.safetensors").stat().st_size for path in (saved, tmp_path / "half")]
        assert sizes[1] < 0.6 * sizes[0]
        loaded = BigBirdForSequenceClassification.from_pretrained(tmp_path / "half")
        for one, other in zip(loaded.weights, model.weights, strict=True):
            assert one.dtype == "float32"
            np.testing.assert_allclose(one, other, rtol=tolerance, atol=1e-6)

    def test_weights_that_are_too_large(self, model, tmp_path):
        kernel = model.backbone.encoder.blocks[1].attention.query_dense.kernel
        kernel.assign(np.full(kernel.shape, 7e4, "float32"))
        with pytest.raises(ValueError, match=rf"dtype='float16'; the largest .*'{QUERY}' is 7e"):
            model.save_pretrained(tmp_path / "half", dtype="float16")
        assert not (tmp_path / "half").exists()
        model.save_pretrained(tmp_path / "half", dtype="bfloat16")
        # What is not finite as it is, is no matter of the dtype.
        kernel.assign(np.full(kernel.shape, -np.inf, "float32"))
        model.save_pretrained(tmp_path / "half", dtype="float16")
        assert np.isneginf(load_file(tmp_path / "half/model.safetensors")[QUERY]).all()

    def test_no_dtype_for_weights(self, model, tmp_path):
        with pytest.raises(ValueError, match=r"`dtype` must be one of .*Received: dtype='int8'"):
            model.save_pretrained(tmp_path / "half", dtype="int8")


class TestTable:
    """The names, written down by hand: what `transformers` has for a model of one layer."""

    LAYER = (
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "attention.output.LayerNorm",
        "intermediate.dense",
        "output.dense",
        "output.LayerNorm",
    )
    EMBEDDINGS = (
        "embeddings.word_embeddings.weight",
        "embeddings.position_embeddings.weight",
        "embeddings.token_type_embeddings.weight",
        "embeddings.LayerNorm.weight",
        "embeddings.LayerNorm.bias",
    )

    def backbone(self, prefix):
        names = [f"{prefix}{name}" for name in self.EMBEDDINGS]
        for name in self.LAYER:
            names += [f"{prefix}encoder.layer.0.{name}.{suffix}" for suffix in ("weight", "bias")]
        return names

    @pytest.mark.parametrize(
        ("make", "prefix", "others"),
        [
            (BigBirdModel, "", ["pooler"]),
            (
                BigBirdForSequenceClassification,
                "bert.",
                ["bert.pooler", "classifier.dense", "classifier.out_proj"],
            ),
            (
                BigBirdForQuestionAnswering,
                "bert.",
                [
                    "qa_classifier.intermediate.dense",
                    "qa_classifier.output.dense",
                    "qa_classifier.output.LayerNorm",
                    "qa_classifier.qa_outputs",
                ],
            ),
        ],
    )
    def test_names(self, make, prefix, others):
        table = transformers_format.tensor_table(make(tiny_config(num_hidden_layers=1)))
        others = [f"{name}.{suffix}" for name in others for suffix in ("weight", "bias")]
        assert sorted(table) == sorted([*self.backbone(prefix), *others])

    def test_kernels_are_stored_transposed(self, model, saved):
        tensors = load_file(saved / "model.safetensors")
        dense = model.backbone.encoder.blocks[1].feed_forward.intermediate_dense
        found = tensors["bert.encoder.layer.1.intermediate.dense.weight"]
        assert found.shape == (13, 21)
        np.testing.assert_array_equal(found, np.transpose(dense.kernel))

    def test_missing_biases_are_not_in_the_table(self):
        model = BigBirdModel(tiny_config(use_bias=False))
        table = transformers_format.tensor_table(model)
        assert "encoder.layer.0.attention.self.key.bias" not in table
        assert "encoder.layer.0.attention.output.dense.bias" in table


class TestRoundTrip:
    def test_same_weights(self, model, saved):
        assert_same_weights(BigBirdForSequenceClassification.from_pretrained(saved), model)

    def test_shards(self, model, saved):
        tensors = load_file(saved / "model.safetensors")
        (saved / "model.safetensors").unlink()
        names = sorted(tensors)
        write_shards(saved, [{n: tensors[n] for n in names[i::3]} for i in range(3)])
        assert_same_weights(BigBirdForSequenceClassification.from_pretrained(saved), model)

    def test_half_precision_file_loads_into_float32(self, model, saved):
        change(saved, lambda tensors: {n: a.astype("float16") for n, a in tensors.items()})
        loaded = BigBirdForSequenceClassification.from_pretrained(saved)
        kernel = loaded.head.dense.kernel
        assert kernel.dtype == "float32"
        np.testing.assert_array_equal(kernel, np.float16(model.head.dense.kernel))

    def test_bfloat16_model(self, tmp_path):
        model = BigBirdModel(tiny_config(), dtype="bfloat16")
        model.save_pretrained(tmp_path)
        loaded = BigBirdModel.from_pretrained(tmp_path, dtype="bfloat16")
        assert loaded.weights[0].dtype == "bfloat16"
        for one, other in zip(loaded.weights, model.weights, strict=True):
            np.testing.assert_array_equal(np.float32(one), np.float32(other))

    def test_lora_is_merged(self, model, tmp_path):
        dense = model.head.dense
        dense.enable_lora(2)
        dense.lora_kernel_b.assign(np.full((2, 21), 0.3))
        ids = np.array([[3, 1, 4, 1, 5]])
        expected = model(ids)
        model.save_pretrained(tmp_path)
        loaded = BigBirdForSequenceClassification.from_pretrained(tmp_path)
        np.testing.assert_allclose(loaded(ids), expected, rtol=0, atol=1e-5)

    def test_quantized_model_is_refused(self, model, tmp_path):
        model.head.dense.quantize("int8")
        expected = r"no form that `transformers` reads.*classifier\.dense\.weight"
        with pytest.raises(ValueError, match=expected):
            model.save_pretrained(tmp_path / "quantized")
        assert not (tmp_path / "quantized").exists()


class TestMisfits:
    """Each is a clear error, and the model's weights are as they were."""

    def load_into_fresh(self, directory, **options):
        """Loads into a model whose weights are compared before and after."""
        model = BigBirdForSequenceClassification(tiny_config(num_labels=3))
        before = [np.array(weight) for weight in model.weights]
        try:
            with transformers_format.open_tensors(directory) as tensors:
                transformers_format.load(model, tensors, **options)
        finally:
            for weight, array in zip(model.weights, before, strict=True):
                np.testing.assert_array_equal(weight, array)

    def test_missing_tensor(self, saved):
        change(saved, lambda tensors: {n: a for n, a in tensors.items() if n != QUERY})
        expected = (
            f"model.safetensors does not fit BigBirdForSequenceClassification, and nothing of it "
            f"was loaded. Tensors missing: {QUERY}."
        )
        with pytest.raises(ValueError, match=f"{re.escape(expected)}$"):
            self.load_into_fresh(saved)

    def test_part_of_a_head_is_missing(self, saved):
        name = "classifier.out_proj.bias"
        change(saved, lambda tensors: {n: a for n, a in tensors.items() if n != name})
        with pytest.raises(ValueError, match=r"Tensors missing: classifier\.out_proj\.bias\.$"):
            self.load_into_fresh(saved)

    def test_unexpected_tensor(self, saved):
        change(saved, lambda tensors: {**tensors, "bert.extra.weight": np.ones(2, np.float32)})
        with pytest.raises(ValueError, match=r"Tensors unexpected: bert\.extra\.weight\.$"):
            self.load_into_fresh(saved)

    def test_misshapen_tensor(self, saved):
        change(saved, lambda tensors: {**tensors, QUERY: tensors[QUERY][:-1].copy()})
        expected = rf"of wrong shape: {re.escape(QUERY)} is \(20, 21\), the model has \(21, 21\)\.$"
        with pytest.raises(ValueError, match=expected):
            self.load_into_fresh(saved)

    def test_transposed_tensor(self, saved):
        name = "bert.encoder.layer.0.output.dense.weight"
        change(saved, lambda tensors: {**tensors, name: tensors[name].T.copy()})
        with pytest.raises(ValueError, match=r"is \(13, 21\), the model has \(21, 13\)"):
            self.load_into_fresh(saved)

    def test_tensor_of_integers(self, saved):
        change(saved, lambda tensors: {**tensors, QUERY: tensors[QUERY].astype("int8")})
        expected = rf"not floating-point numbers: {re.escape(QUERY)} is I8"
        with pytest.raises(ValueError, match=expected):
            self.load_into_fresh(saved)

    def test_all_problems_at_once(self, saved):
        def edit(tensors):
            tensors["bert.extra.bias"] = tensors.pop("bert.embeddings.LayerNorm.bias")
            tensors[QUERY] = np.zeros((2, 3), np.float32)

        change(saved, edit)
        expected = (
            r"missing: bert\.embeddings\.LayerNorm\.bias; tensors unexpected: bert\.extra\.bias; "
            r"tensors of wrong shape: bert\.encoder"
        )
        with pytest.raises(ValueError, match=expected):
            self.load_into_fresh(saved)

    def test_many_names_are_cut(self, saved):
        change(saved, lambda tensors: {n: a for n, a in tensors.items() if "layer.1" not in n})
        with pytest.raises(ValueError, match=r"Tensors missing: .* and 6 more\.$"):
            self.load_into_fresh(saved)

    def test_checkpoint_of_something_else(self, saved):
        change(saved, lambda tensors: {"conv1.weight": np.ones((3, 3), np.float32)})
        with pytest.raises(ValueError, match=r"unexpected: conv1\.weight"):
            self.load_into_fresh(saved)

    def test_other_number_of_labels(self, saved):
        expected = (
            r"classifier\.out_proj\.weight is \(3, 21\), the model has \(5, 21\).* pass "
            r"`ignore_mismatched_sizes=True`"
        )
        with pytest.raises(ValueError, match=expected):
            BigBirdForSequenceClassification.from_pretrained(saved, num_labels=5)

    def test_ignore_mismatched_sizes(self, model, saved):
        with pytest.warns(
            UserWarning, match=r": classifier\.out_proj\.weight, classifier\.out_proj\.bias of the"
        ):
            loaded = BigBirdForSequenceClassification.from_pretrained(
                saved, num_labels=5, ignore_mismatched_sizes=True
            )
        np.testing.assert_array_equal(loaded.head.dense.kernel, model.head.dense.kernel)
        assert loaded.head.output_dense.kernel.shape == (21, 5)

    def test_ignore_mismatched_sizes_is_for_heads_only(self, saved):
        with pytest.raises(ValueError, match=r"word_embeddings\.weight is \(53, 21\)"):
            BigBirdForSequenceClassification.from_pretrained(
                saved, vocab_size=59, ignore_mismatched_sizes=True
            )

    def test_fewer_layers_than_the_checkpoint(self, saved):
        with pytest.raises(ValueError, match=r"unexpected: bert\.encoder\.layer\.1"):
            BigBirdForSequenceClassification.from_pretrained(saved, num_hidden_layers=1)

    def test_directory_without_config(self, saved):
        (saved / "config.json").unlink()
        with pytest.raises(FileNotFoundError, match=r"has no 'config\.json'. It has: model\.safe"):
            BigBirdForSequenceClassification.from_pretrained(saved)

    def test_directory_without_weights(self, saved):
        (saved / "model.safetensors").unlink()
        with pytest.raises(FileNotFoundError, match=r"has a config but no weights"):
            BigBirdForSequenceClassification.from_pretrained(saved)

    def test_truncated_weights(self, saved):
        file = saved / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            BigBirdForSequenceClassification.from_pretrained(saved)

    def test_config_of_another_model(self, saved):
        fields = json.loads((saved / "config.json").read_text())
        (saved / "config.json").write_text(json.dumps({**fields, "model_type": "roberta"}))
        with pytest.raises(ValueError, match="model_type='roberta'"):
            BigBirdForSequenceClassification.from_pretrained(saved)


HEADS = [BigBirdModel, BigBirdForSequenceClassification, BigBirdForQuestionAnswering]


@pytest.mark.parity
@pytest.mark.parametrize("make", HEADS)
class TestTransformers:
    """Both directions with the live library; outputs at a length of sparse attention, padded."""

    TOLERANCE = 1e-4

    def make_theirs(self, make):
        import torch
        import transformers

        config = transformers.BigBirdConfig.from_dict(tiny_config(num_labels=3).to_dict())
        theirs = getattr(transformers, make.__name__)(config).eval()
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for name, parameter in theirs.named_parameters():
                is_scale = "LayerNorm.weight" in name
                parameter.normal_(mean=float(is_scale), std=0.2, generator=generator)
        return theirs

    def assert_same_outputs(self, ours, theirs):
        import torch

        rng = np.random.default_rng(7)
        ids = rng.integers(6, 53, size=(2, 37))
        ids[:, 4] = 5  # the separator
        mask = np.ones((2, 37), np.int64)
        mask[1, 30:] = 0
        ids[1, 30:] = 0
        found = ours({"input_ids": ids, "attention_mask": mask})
        with torch.no_grad():
            expected = theirs(torch.tensor(ids), attention_mask=torch.tensor(mask))
        if not isinstance(found, dict):
            found = {"logits": found}
        for name, output in found.items():
            difference = np.abs(np.asarray(output) - getattr(expected, name).numpy())
            assert difference.max() <= self.TOLERANCE, name

    def test_theirs_loads_here(self, make, tmp_path):
        theirs = self.make_theirs(make)
        theirs.save_pretrained(tmp_path)
        ours = make.from_pretrained(
            tmp_path, inference_random_blocks="first_block", random_plan="transformers"
        )
        self.assert_same_outputs(ours, theirs)

    def test_ours_loads_there(self, make, tmp_path):
        import transformers

        ours = make(tiny_config(num_labels=3, inference_random_blocks="first_block"))
        randomize(ours)
        ours.save_pretrained(tmp_path)
        theirs, report = getattr(transformers, make.__name__).from_pretrained(
            tmp_path, output_loading_info=True
        )
        assert not any(report.values()), report
        self.assert_same_outputs(ours, theirs.eval())

    def test_their_shards(self, make, tmp_path):
        theirs = self.make_theirs(make)
        theirs.save_pretrained(tmp_path, max_shard_size="10KB")
        assert not (tmp_path / "model.safetensors").exists()
        assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
        ours = make.from_pretrained(tmp_path, inference_random_blocks="first_block")
        self.assert_same_outputs(ours, theirs)

    def test_their_pytorch_file(self, make, tmp_path):
        import torch

        theirs = self.make_theirs(make)
        theirs.config.save_pretrained(tmp_path)
        torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
        ours = make.from_pretrained(tmp_path, inference_random_blocks="first_block")
        self.assert_same_outputs(ours, theirs)
