import keras
import numpy as np
import pytest
from keras import ops
from keras.backend import standardize_dtype

from bigbird_tf.layers import Encoder, EncoderBlock, FeedForward
from tests.backends import (
    IS_TENSORFLOW,
    compiled,
    loss_and_gradients,
    of_unknown_length,
    value_and_gradients,
)
from tests.contract import (
    BATCH,
    BLOCK,
    HEADS,
    LENGTH,
    WIDTH,
    as_function,
    assert_close,
    mask_of,
    randomize,
    symbolic,
    tiny_config,
)


def made(cls=Encoder, **fields):
    layer = cls(tiny_config(**fields))
    layer.build((BATCH, LENGTH, WIDTH))
    randomize(layer)
    return layer


def arguments(length=LENGTH, real=None):
    rng = np.random.default_rng(length)
    x = rng.normal(size=(BATCH, length, WIDTH)).astype("float32")
    return [x, mask_of(real or (length, max(1, length - 7)), length).astype("float32")]


def gradients(encoder, x, mask):
    def loss(x):
        hidden, _, _ = encoder(x, mask, training=True)
        return ops.mean(ops.square(ops.cast(hidden, "float32")))

    return loss_and_gradients(loss, ops.convert_to_tensor(x), encoder)


class TestRematerialization:
    @pytest.mark.parametrize(
        ("mode", "length"),
        [("eager", 23), ("static", LENGTH), ("dynamic", 23), ("dynamic", LENGTH)]
        if IS_TENSORFLOW
        else [("eager", 23), ("eager", LENGTH)],
    )
    def test_same_loss_and_gradients_with_dropout(self, length, mode):
        results = []
        for gradient_checkpointing in (False, True):
            keras.utils.set_random_seed(5)
            encoder = made(
                gradient_checkpointing=gradient_checkpointing,
                hidden_dropout_prob=0.3,
                attention_probs_dropout_prob=0.2,
            )
            inputs = arguments(length)
            call = lambda x, mask, encoder=encoder: gradients(encoder, x, mask)  # noqa: E731
            if mode == "static":
                call = compiled(call, jit_compile=False)
            elif mode == "dynamic":
                call = of_unknown_length(call, inputs)
            first, second = call(*inputs), call(*inputs)
            # Dropout draws anew for each call.
            assert abs(first[0] - second[0]) > 1e-4
            results.append((first, second))
        for (loss, plain), (other_loss, recomputed) in zip(*results, strict=True):
            np.testing.assert_allclose(loss, other_loss, rtol=1e-5)
            assert len(plain) == 33
            for mine, theirs in zip(recomputed, plain, strict=True):
                largest = np.abs(theirs).max()
                np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-4 * largest + 1e-6)

    def test_mixed_precision(self):
        config = tiny_config(gradient_checkpointing=True, num_hidden_layers=1)
        encoder = Encoder(config, dtype="mixed_bfloat16")
        plain = Encoder(config.replace(gradient_checkpointing=False), dtype="mixed_bfloat16")
        for layer in (encoder, plain):
            layer.build((BATCH, LENGTH, WIDTH))
            randomize(layer)
        keras.utils.set_random_seed(5)
        inputs = arguments()
        _, recomputed = gradients(encoder, *inputs)
        assert {standardize_dtype(g.dtype) for g in recomputed[1:]} == {"float32"}
        assert all(np.isfinite(ops.convert_to_numpy(g)).all() for g in recomputed)

    def test_no_effect_outside_of_training(self):
        inputs = arguments()
        plain = made()(*inputs)[0]
        assert_close(made(gradient_checkpointing=True)(*inputs)[0], plain)


@pytest.mark.parametrize("output_attentions", [False, True])
@pytest.mark.parametrize("output_hidden_states", [False, True])
def test_specs_are_those_of_what_is_returned(output_hidden_states, output_attentions):
    def specs(outputs):
        return keras.tree.map_structure(
            lambda x: (tuple(x.shape[1:]), standardize_dtype(x.dtype)), outputs
        )

    inputs, options = arguments(), {"output_hidden_states": output_hidden_states}
    options["output_attentions"] = output_attentions
    encoder = made()
    assert specs(encoder(*symbolic(inputs), **options)) == specs(encoder(*inputs, **options))
    block, options = made(EncoderBlock), {"return_attention_scores": output_attentions}
    assert specs(block(*symbolic(inputs), **options)) == specs(block(*inputs, **options))


def test_hidden_states_and_attentions():
    encoder, (x, mask) = made(), arguments()
    expected, none, nothing = encoder(x, mask)
    assert none == nothing == []
    last, hidden_states, attentions = encoder(
        x, mask, output_hidden_states=True, output_attentions=True
    )
    assert_close(last, expected)
    assert [tuple(h.shape) for h in hidden_states] == [(BATCH, LENGTH, WIDTH)] * 3
    assert [tuple(a.shape) for a in attentions] == [(BATCH, HEADS, LENGTH, LENGTH)] * 2
    np.testing.assert_array_equal(hidden_states[0], x)
    np.testing.assert_array_equal(hidden_states[-1], last)
    # Each state is the block's output for the one before.
    for block, before, after in zip(
        encoder.blocks, hidden_states[:-1], hidden_states[1:], strict=True
    ):
        real = mask.astype(bool)
        assert_close(np.asarray(block(before, mask))[real], np.asarray(after)[real])
    for block, weights in zip(encoder.blocks, attentions, strict=True):
        weights = np.asarray(weights)
        real = np.moveaxis(weights, 1, 2)[mask.astype(bool)]
        np.testing.assert_allclose(real.sum(-1), 1, atol=1e-5)
        assert not weights[1, :, :30, 30:].any()
        # Each layer has random blocks of its own.
        counts = block.attention.pattern(LENGTH).to_dense_mask()
        allowed = np.kron(counts, np.ones((BLOCK, BLOCK)))[:, :LENGTH, :LENGTH] > 0
        np.testing.assert_array_equal(weights[0] > 0, allowed)
    first, second = (block.attention.pattern(LENGTH) for block in encoder.blocks)
    assert not np.array_equal(first.random_blocks, second.random_blocks)


@pytest.mark.parametrize("mode", ["eager", "dynamic"])
def test_the_length_decides_each_call(mode):
    encoder, full = made(), made(attention_type="original_full")
    call = as_function(encoder, arguments(), dynamic=True) if mode == "dynamic" else encoder
    for length in (28, 29, 61, 13, 44, 28, 1):
        x, mask = arguments(length)
        real = mask.astype(bool)
        output = np.asarray(call(x, mask)[0])[real]
        is_full = np.abs(output - np.asarray(full(x, mask)[0])[real]).max() < 1e-4
        assert is_full == (length <= 28), length
        if mode == "dynamic":
            assert_close(output, np.asarray(encoder(x, mask)[0])[real])


def test_a_limit_within_a_block():
    """At the limit nothing is padded, which would make the sequence longer than the limit."""
    fields = {"full_attention_up_to": 33, "num_hidden_layers": 1}
    encoder, full = made(**fields), made(**fields, attention_type="original_full")
    dynamic = as_function(encoder, arguments(), dynamic=True)
    for length in (33, 34):
        x, mask = arguments(length)
        real = mask.astype(bool)
        expected = np.asarray(full(x, mask)[0])[real]
        for call in (encoder, dynamic):
            difference = np.abs(np.asarray(call(x, mask)[0])[real] - expected).max()
            assert (difference < 1e-4) == (length <= 33), length


def test_one_trace_for_all_lengths():
    encoder = made()
    traced = as_function(encoder, arguments(), dynamic=True)
    for length in (3, 29, 37, 61):
        specs = arguments(length)
        traced(*specs)
    assert traced.experimental_get_tracing_count() == 1


def test_no_layer_at_all():
    x, mask = arguments()
    np.testing.assert_array_equal(made(num_hidden_layers=0)(x, mask)[0], x)


def test_use_bias_is_that_of_query_key_and_value():
    names = [w.path.split("/")[-2:] for w in made(EncoderBlock, use_bias=False).weights]
    with_bias = {name for name, kind in names if kind == "bias"}
    assert with_bias == {"output", "intermediate"}
    assert sum(kind == "bias" for _, kind in names) == 3


def test_block_worked_out_by_its_parts():
    block, (x, mask) = made(EncoderBlock), arguments()
    attended = block.attention(x, attention_mask=mask)
    hidden = block.layer_norm(attended + x)
    feed_forward = block.feed_forward
    inside = keras.activations.gelu(feed_forward.intermediate_dense(hidden), approximate=True)
    expected = feed_forward.layer_norm(feed_forward.output_dense(inside) + hidden)
    assert_close(block(x, mask), expected)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("gelu_new", lambda x: keras.ops.gelu(x, approximate=True)),
        ("gelu_fast", lambda x: keras.ops.gelu(x, approximate=True)),
        ("gelu", lambda x: keras.ops.gelu(x, approximate=False)),
        ("relu", keras.ops.relu),
        ("silu", keras.ops.silu),
        ("tanh", keras.ops.tanh),
    ],
)
def test_activations(name, function):
    layer = made(FeedForward, hidden_act=name)
    x, _ = arguments()
    hidden = layer.output_dense(function(layer.intermediate_dense(x)))
    assert_close(layer(x), layer.layer_norm(hidden + x), 1e-6)


def test_dropout_before_residual_and_norm():
    layer = made(FeedForward, hidden_dropout_prob=0.9)
    layer.layer_norm.gamma.assign(np.ones(WIDTH))
    layer.layer_norm.beta.assign(np.zeros(WIDTH))
    x, _ = arguments()
    output = np.asarray(layer(x, training=True))
    np.testing.assert_allclose(output.std(-1), 1, atol=1e-3)
    # Where all of a token's hidden numbers were dropped, the residual is left.
    only_residual = np.asarray(layer.layer_norm(x))
    assert (np.abs(output - only_residual).max(-1) < 1e-5).any()


def test_nothing_flows_outside_of_the_pattern():
    """Gradient of one block's output with respect to another block that it does not read."""
    encoder, (x, mask) = made(num_hidden_layers=1), arguments(40, (40, 40))
    counts = encoder.blocks[0].attention.pattern(40).to_dense_mask().sum(axis=0)
    for i in (1, 4, 8):
        grad_output = np.zeros((BATCH, 10, 4, WIDTH), "float32")
        grad_output[:, i] = np.random.default_rng(i).normal(size=(BATCH, 4, WIDTH))
        grad_output = ops.convert_to_tensor(grad_output.reshape(BATCH, 40, WIDTH))
        tensors = [ops.convert_to_tensor(x)]
        _, gradient = value_and_gradients(lambda x: encoder(x, mask)[0], tensors, grad_output)
        gradient = np.asarray(gradient).reshape(BATCH, 10, -1)
        np.testing.assert_array_equal((gradient != 0).any(-1), [counts[i] > 0] * BATCH)
    assert (counts == 0).any()
