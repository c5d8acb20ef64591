"""What the contracts of layers and models share: sizes, inputs, comparisons.

A test class derives from `LayerContract` or `ModelContract`, in the modules of that name, says what
to test, and writes down by hand how many weights that has. Sizes are distinct primes where they can
be, so that no transposed axis hides; lengths are such that sparse attention is in use, with padding
inside and outside.
"""

import inspect
import json
from typing import Any

import keras
import numpy as np

from bigbird_tf.config import BigBirdConfig, BigBirdPegasusConfig
from tests.backends import IS_TENSORFLOW

VOCABULARY, SEPARATOR, HEADS, HEAD_SIZE, LONGEST = 53, 5, 3, 7, 61
WIDTH = HEADS * HEAD_SIZE
BLOCK = 4
# Full attention up to (5 + 2 * 1) * 4 = 28 tokens. 37 tokens are ten blocks, the last with padding.
LENGTH = 37
# Real tokens of each sequence of the batch; the second one's padding fills a block and a bit.
REAL_LENGTHS = (37, 30)
BATCH = len(REAL_LENGTHS)
# On JAX one of them, for time: what differs by dtype is the same code.
HALF_POLICIES = (
    ("mixed_float16", "mixed_bfloat16", "bfloat16") if IS_TENSORFLOW else ("mixed_bfloat16",)
)


def tiny_config(**fields) -> BigBirdConfig:
    """Returns a config of a model that is as small as it can be with everything in it."""
    tiny: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": HEADS,
        "intermediate_size": 13,
        "max_position_embeddings": LONGEST,
        "block_size": BLOCK,
        "num_random_blocks": 1,
        "sep_token_id": SEPARATOR,
    }
    return BigBirdConfig(**{**tiny, **fields})


def tiny_pegasus_config(**fields) -> BigBirdPegasusConfig:
    """Returns the same of an encoder-decoder, whose two stacks differ in heads and widths."""
    tiny: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "d_model": WIDTH,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": HEADS,
        "decoder_attention_heads": HEAD_SIZE,
        "encoder_ffn_dim": 13,
        "decoder_ffn_dim": 11,
        "max_position_embeddings": LONGEST,
        "block_size": BLOCK,
        "num_random_blocks": 1,
        "attention_dropout": 0.1,
        "activation_dropout": 0.1,
        "classifier_dropout": 0.1,
    }
    return BigBirdPegasusConfig(**{**tiny, **fields})


def randomize(layer, seed: int = 11) -> None:
    """Sets all weights to values that matter: no zero biases, no gammas of one, no tiny kernels."""
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        if not keras.backend.is_float_dtype(weight.dtype):
            continue
        values = rng.normal(size=weight.shape)
        if "gamma" in weight.path:
            values = 1 + 0.2 * values
        elif len(weight.shape) == 1:
            values = 0.2 * values
        elif "embeddings" not in weight.path:
            values /= weight.shape[0] ** 0.5
        weight.assign(values)


def random_ids(seed: int = 3, batch: int = BATCH, length: int = LENGTH) -> np.ndarray:
    """Returns token ids with one separator in each row, at different places."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(SEPARATOR + 1, VOCABULARY, (batch, length), dtype=np.int32)
    for row in range(batch):
        ids[row, 5 + 2 * row] = SEPARATOR
    return ids


def mask_of(lengths=REAL_LENGTHS, length: int = LENGTH) -> np.ndarray:
    """Returns the mask of sequences with so many tokens."""
    return (np.arange(length) < np.array(lengths)[:, None]).astype(np.int32)


def flat_numpy(outputs) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(x) for x in keras.tree.flatten(outputs)]


def assert_close(actual, expected, tolerance: float = 1e-5) -> None:
    """Same structure, shapes, dtypes, and numbers but for rounding, relative to the largest."""
    keras.tree.assert_same_structure(actual, expected)
    for mine, theirs in zip(keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True):
        assert keras.backend.standardize_dtype(mine.dtype) == keras.backend.standardize_dtype(
            theirs.dtype
        )
        mine, theirs = (keras.ops.convert_to_numpy(x) for x in (mine, theirs))
        assert mine.shape == theirs.shape
        assert np.isfinite(theirs).all()
        largest = max(1.0, np.abs(theirs).max(initial=0.0))
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance * largest)


def assert_config_round_trip(made) -> None:
    """`get_config` survives JSON and `from_config`, and has every constructor argument."""
    config = json.loads(json.dumps(made.get_config()))
    again = type(made).from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    parameters = inspect.signature(type(made).__init__).parameters.values()
    names = {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    names -= {"self"}
    assert names <= set(config)
    for name in names:
        mine, theirs = getattr(made, name), getattr(again, name)
        if hasattr(mine, "get_config"):
            mine, theirs = ((type(x), x.get_config()) for x in (mine, theirs))
        assert mine == theirs, name


def assert_weights(made, trainable_weights: int, other_weights: int, states: int, parameters: int):
    """`states` are the seeds of dropout, which Keras has among variables but not among weights."""
    assert len(made.trainable_weights) == trainable_weights
    assert len(made.non_trainable_weights) == other_weights
    assert len(made.variables) == trainable_weights + other_weights + states
    assert sum(int(np.prod(w.shape)) for w in made.weights) == parameters
    assert len({w.path for w in made.weights}) == len(made.weights)


def assert_policy_everywhere(made, policy: str) -> None:
    for part in made._flatten_layers():
        assert part.dtype_policy.name == policy, part.path
    variable_dtype = keras.DTypePolicy(policy).variable_dtype
    assert {w.dtype for w in made.weights} == {variable_dtype}


def as_function(call, arguments, *, dynamic: bool = False, **options):
    """Returns a `tf.function` of positional arguments, with the length unknown if `dynamic`."""
    import tensorflow as tf

    def spec(array):
        array = np.asarray(array)
        shape = [None if dynamic and size in (BATCH, LENGTH) else size for size in array.shape]
        return tf.TensorSpec(shape, array.dtype)

    signature = [keras.tree.map_structure(spec, argument) for argument in arguments]
    return tf.function(call, input_signature=signature, **options)


def symbolic(arguments, *, length: int | None = LENGTH):
    """Returns `keras.Input`s for arguments, whose batch size is unknown."""

    def make(array, name=None):
        shape = [length if size == LENGTH else size for size in array.shape[1:]]
        return keras.Input(shape, dtype=str(array.dtype), name=name)

    return [
        {name: make(array, name) for name, array in argument.items()}
        if isinstance(argument, dict)
        else make(argument)
        for argument in arguments
    ]
