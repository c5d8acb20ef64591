"""Weights shared out by `layout_map` train as on one device: on JAX, on eight virtual devices."""

import keras
import numpy as np
import pytest

import bigbird_tf as bb
from bigbird_tf import models
from tests.backends import IS_TENSORFLOW
from tests.conftest import answer_of
from tests.contract import tiny_config, tiny_pegasus_config

OF_HEADS = ("qa_classifier/", "lm_head/")
HEADS = [name for name in models.__all__ if "For" in name]


def mesh(shape=(1, 1), names=("data", "model")):
    """A mesh of devices that need not be there: nothing is put on them."""
    devices = np.array([f"cpu:{number}" for number in range(int(np.prod(shape)))])
    return keras.distribution.DeviceMesh(shape, list(names), devices.reshape(shape))


@pytest.fixture(scope="module")
def answer():
    """What `layout_process` says."""
    return answer_of("tests.training.layout_process")


@pytest.mark.jax
@pytest.mark.slow
class TestDevices:
    def test_trains_as_one_device(self, answer):
        trained = {name: found for name, found in answer["heads"].items() if "one" in found}
        assert len(trained) == 3
        ways = []
        for head, found in trained.items():
            expected = found["one"]
            assert abs(expected[0] - expected[1]) > 1e-4 * expected[0]  # It has learnt something.
            for way in {"data", "both"} & {*found}:
                ways.append(way)
                np.testing.assert_allclose(found[way], expected, rtol=0, atol=1e-5, err_msg=head)
                assert found[f"{way} weights"] <= 1e-6, (head, way)
        assert sorted(ways) == ["both"] * 3 + ["data"]

    def test_every_head_is_shared_out(self, answer):
        """Of each block six kernels; of a decoder's with an encoder, ten."""
        assert {*answer["heads"]} == {*HEADS}
        for head, found in answer["heads"].items():
            names = ("query", "key", "value", "attention/output", "intermediate")
            kernels = [path for path in found["shares"] if path.endswith("kernel")]
            of_blocks = [path for path in kernels if not path.startswith(OF_HEADS)]
            pair = "Pegasus" in head and "CausalLM" not in head
            assert len(of_blocks) == (16 if pair else 6), head
            for name in names:
                assert any(f"{name}/kernel" in path for path in of_blocks), (head, name)
            assert any("position_embeddings" in path for path in found["shares"]), head

    def test_what_a_device_has(self, answer):
        """Half of the heads, the width and the rows; and of the momentum of these."""
        shares = answer["heads"]["BigBirdForMaskedLM"]["shares"]
        weights = {path: share for path, share in shares.items() if "momentum" not in path}
        block = "backbone/encoder/layer_0"
        words = "backbone/embeddings/{}_embeddings/embeddings"
        assert weights == {
            words.format("word"): [54 // 2, 24],
            words.format("position"): [62 // 2, 24],
            **{
                f"{block}/attention/{name}/{kind}": share
                for name in ("query", "key", "value")
                for kind, share in (("kernel", [24, 24 // 2]), ("bias", [24 // 2]))
            },
            f"{block}/attention/output/kernel": [24 // 2, 24],
            f"{block}/feed_forward/intermediate/kernel": [24, 14 // 2],
            f"{block}/feed_forward/intermediate/bias": [14 // 2],
            f"{block}/feed_forward/output/kernel": [14 // 2, 24],
        }
        assert len(shares) == 2 * len(weights)

    def test_rows_that_do_not_divide(self, answer):
        """53 of them stay whole; of a decoder that is not tied, likewise."""
        shares = answer["heads"]["BigBirdForCausalLM"]["shares"]
        assert not [path for path in shares if "word_embeddings" in path or "decoder" in path]
        shares = answer["heads"]["BigBirdPegasusForCausalLM"]["shares"]
        assert shares["lm_head/decoder/kernel"] == [24, 54 // 2]

    def test_two_stacks(self, answer):
        shares = answer["heads"]["BigBirdPegasusForConditionalGeneration"]["shares"]
        kernels = [path for path in shares if path.endswith("kernel")]
        # Six of the encoder's block; of the decoder's four more, which read the encoder.
        assert len(kernels) == 6 + 10
        assert sum("cross_attention" in path for path in kernels) == 4

    def test_uneven_batches_are_refused_with_the_way_out(self, answer):
        assert {*answer["refused"]} == {"fit", "evaluate", "predict", "train_on_batch"}
        for name, said in answer["refused"].items():
            size = 6 if name == "train_on_batch" else 2
            assert "drop_remainder=True" in said
            assert "'data', must divide it" in said
            assert f"Received: a batch of {size} examples" in said
        # What `fit` had learnt from the batch before is there.
        assert answer["moved"] > 1e-4


class TestArguments:
    @pytest.mark.parametrize(
        ("shape", "names", "match"),
        [
            ((4,), ["data"], r"take `keras.distribution.DataParallel`.* a mesh of \{'data': 4\}"),
            ((2, 2), ["data", "heads"], r"Received: a mesh of \{'data': 2, 'heads': 2\}"),
            ((2, 2, 1), ["data", "model", "more"], "must have two axes"),
            ((2, 4), ["data", "model"], "`num_attention_heads`.*4 devices on that axis.*1, 3 div"),
        ],
    )
    def test_meshes(self, shape, names, match):
        with pytest.raises(ValueError, match=match):
            bb.layout_map(tiny_config(), mesh(shape, names))

    @pytest.mark.parametrize(
        ("config", "count", "name"),
        [
            (tiny_config(), 3, "intermediate_size"),
            (tiny_pegasus_config(), 7, "encoder_attention_heads"),
            (tiny_pegasus_config(), 3, "decoder_attention_heads"),
            (tiny_pegasus_config(encoder_attention_heads=7), 7, "encoder_ffn_dim"),
            (
                tiny_pegasus_config(encoder_attention_heads=7, encoder_ffn_dim=14),
                7,
                "decoder_ffn_dim",
            ),
        ],
    )
    def test_sizes(self, config, count, name):
        with pytest.raises(ValueError, match=f"must divide `{name}`"):
            bb.layout_map(config, mesh((1, count)))

    def test_types(self):
        with pytest.raises(TypeError, match=r"`mesh` must be a `keras.distribution.DeviceMesh`"):
            bb.layout_map(tiny_config(), (4, 2))
        with pytest.raises(TypeError, match="`model` must be a model of this package"):
            bb.layout_map(bb.BigBirdForMaskedLM, mesh())

    @pytest.mark.skipif(not IS_TENSORFLOW, reason="says what to do on TensorFlow")
    def test_on_tensorflow(self):
        with pytest.raises(RuntimeError, match="KERAS_BACKEND=jax"):
            bb.layout_map(tiny_config(), mesh())
