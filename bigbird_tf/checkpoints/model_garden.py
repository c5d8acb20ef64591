"""The BigBird encoder of the TensorFlow Model Garden (tf-models-official, on Keras 2)."""

import os
import warnings
from typing import Any

import numpy as np

from bigbird_tf.attention.pattern.pattern_spec import PatternSpec
from bigbird_tf.checkpoints.pretrained_directory import (
    check_output_directory,
    write_pretrained_directory,
)
from bigbird_tf.config import ACTIVATIONS, Activation, BigBirdConfig

__all__ = ["convert_model_garden_encoder"]

# Their table is drawn once, for all positions of the model; ours are drawn for these lengths alone
# in the same way. At 4096 positions it is Google's own table.
_GOOGLE_TABLE_LENGTH = 4096
_LENGTHS_OF_SAME_TABLE = (1024, 3072, 4096)
# Their table leads to any of the first 1024 tokens, so shorter sequences cannot use it.
_SHORTEST_LENGTH = 1024

# The last two parts of a weight's name: the tensor's name in `transformers`.
_EMBEDDINGS = {
    "word_embeddings/embeddings": "bert.embeddings.word_embeddings.weight",
    "position_embedding/embeddings": "bert.embeddings.position_embeddings.weight",
    "type_embeddings/embeddings": "bert.embeddings.token_type_embeddings.weight",
    "layer_norm/gamma": "bert.embeddings.LayerNorm.weight",
    "layer_norm/beta": "bert.embeddings.LayerNorm.bias",
}
_POOLER = {
    "cls_transform/kernel": "bert.pooler.weight",
    "cls_transform/bias": "bert.pooler.bias",
}
_LAYER = {
    "query/kernel": "attention.self.query.weight",
    "query/bias": "attention.self.query.bias",
    "key/kernel": "attention.self.key.weight",
    "key/bias": "attention.self.key.bias",
    "value/kernel": "attention.self.value.weight",
    "value/bias": "attention.self.value.bias",
    "attention_output/kernel": "attention.output.dense.weight",
    "attention_output/bias": "attention.output.dense.bias",
    "self_attention_layer_norm/gamma": "attention.output.LayerNorm.weight",
    "self_attention_layer_norm/beta": "attention.output.LayerNorm.bias",
    "intermediate/kernel": "intermediate.dense.weight",
    "intermediate/bias": "intermediate.dense.bias",
    "output/kernel": "output.dense.weight",
    "output/bias": "output.dense.bias",
    "output_layer_norm/gamma": "output.LayerNorm.weight",
    "output_layer_norm/beta": "output.LayerNorm.bias",
}


def convert_model_garden_encoder(encoder: Any, output_dir: str | os.PathLike) -> None:
    """Makes a pretrained directory of the Model Garden's BigBird encoder.

    With the Model Garden's default of 4096 positions, outputs are the same at the lengths 1024,
    2048, 3072 and 4096. What differs, by design:

    *   Random blocks at other lengths. Theirs are the first rows of one table, for all lengths;
        here each length has what Google's original code draws for it. Encoders of another number
        of positions have a table of their own: outputs are the same at 1024 and 3072 tokens only,
        and there is a warning if that leaves out the encoder's own full length.
    *   Lengths. Theirs must be multiples of the block size, and sequences of less than 1024 tokens
        cannot use its table (on CPU that is an error, on GPU it reads zeros). Here shorter ones
        work, the shortest with full attention.
    *   In training, theirs drops out the embeddings after their normalisation; here it is before,
        as in Google's code.
    *   Theirs may have no pooler; `BigBirdModel` then starts a fresh one, and says so.

    Args:
        encoder: A `BigBirdEncoder` (official.projects.bigbird), or what `build_encoder`
            (official.nlp.configs.encoders) makes for the type "bigbird".
        output_dir: A new or empty directory; gets `config.json` and `model.safetensors`. Put the
            vocabulary there as `spiece.model`.

    Raises:
        ValueError: If it is another kind of model, or has parts that BigBird does not: embeddings
            of another width, normalisation first, an unknown activation.
        FileExistsError: If `output_dir` has something in it.
    """
    check_output_directory(output_dir)
    blocks = _find_blocks(encoder)
    config = _read_config(encoder, blocks)
    inside = {weight.name for block in blocks for weight in block.weights}
    outside = [weight for weight in encoder.weights if weight.name not in inside]
    has_pooler = any("cls_transform" in weight.name for weight in outside)
    tensors = _read_weights(outside, {**_EMBEDDINGS, **(_POOLER if has_pooler else {})})
    for index, block in enumerate(blocks):
        names = {ours: f"bert.encoder.layer.{index}.{name}" for ours, name in _LAYER.items()}
        tensors.update(_read_weights(block.weights, names))
    write_pretrained_directory(output_dir, config, tensors, "BigBirdModel")


def _find_blocks(encoder: Any) -> list:
    """Returns the encoder's layers that have BigBird's attention."""
    blocks = [
        layer
        for layer in getattr(encoder, "layers", [])
        if type(_attention(layer)).__name__ == "BigBirdAttention"
    ]
    if not blocks:
        raise ValueError(
            "`encoder` must be a BigBird encoder of the Model Garden (tf-models-official), with "
            f"layers that have its `BigBirdAttention`. Received: {type(encoder).__name__}"
        )
    return blocks


def _attention(layer: Any) -> Any:
    # It is made when the layer is built, and this is where the layer shows it.
    return getattr(layer, "_attention_layer", None)


def _read_config(encoder: Any, blocks: Any) -> BigBirdConfig:
    settings = blocks[0].get_config()
    attention = _attention(blocks[0])
    attention_settings = attention.get_config()
    if settings["norm_first"]:
        raise ValueError(
            "`encoder` must normalise after each sublayer, as BigBird does. Received: norm_first="
            f"{settings['norm_first']}"
        )
    seeds = [_attention(block).get_config()["seed"] for block in blocks]
    if seeds != list(range(len(blocks))):
        raise ValueError(
            "The random blocks of each layer must be drawn with the layer's index as the seed. "
            f"Received layers with the seeds: {seeds}"
        )
    shapes = {_short_name(weight): tuple(weight.shape) for weight in encoder.weights}
    vocab_size, width = shapes["word_embeddings/embeddings"]
    hidden_size = attention_settings["num_heads"] * attention_settings["key_dim"]
    if width != hidden_size:
        raise ValueError(
            "`encoder` must have word embeddings as wide as its layers: there is no projection in "
            f"BigBird. Received: embedding_width={width}, hidden_size={hidden_size}"
        )
    positions, _ = shapes["position_embedding/embeddings"]
    block_size = attention_settings["from_block_size"]
    num_random_blocks = attention_settings["num_rand_blocks"]
    if positions not in _LENGTHS_OF_SAME_TABLE:
        warnings.warn(
            f"The Model Garden's random blocks for {positions} positions are not those of Google's "
            f"code or of `transformers` at {positions} tokens, so outputs at that length differ "
            "from the encoder's. Fine-tune the converted model before you use it there.",
            stacklevel=3,
        )
    pattern = PatternSpec(num_heads=1, block_size=block_size, num_random_blocks=num_random_blocks)
    full_attention_up_to = pattern.longest_full_attention
    return BigBirdConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        num_hidden_layers=len(blocks),
        num_attention_heads=attention_settings["num_heads"],
        intermediate_size=settings["inner_dim"],
        hidden_act=_name_activation(settings["inner_activation"]),
        hidden_dropout_prob=settings["dropout_rate"],
        attention_probs_dropout_prob=settings["attention_dropout_rate"],
        max_position_embeddings=positions,
        type_vocab_size=shapes["type_embeddings/embeddings"][0],
        layer_norm_eps=settings["norm_epsilon"],
        block_size=block_size,
        num_random_blocks=num_random_blocks,
        random_plan="google" if positions == _GOOGLE_TABLE_LENGTH else "transformers",
        inference_random_blocks="seeded",
        # Theirs is sparse wherever it works at all.
        full_attention_up_to=min(full_attention_up_to, _SHORTEST_LENGTH - 1),
    )


def _name_activation(function: Any) -> Activation:
    """Returns the config's name of an activation, which shows in its values."""
    import tensorflow as tf

    from bigbird_tf.nn.activations import get_activation

    points = np.linspace(-4, 4, 81, dtype="float32")
    values = np.asarray(tf.keras.activations.get(function)(tf.constant(points)))
    for name in ACTIVATIONS:
        if np.abs(np.asarray(get_activation(name)(points)) - values).max() < 1e-6:
            return name
    raise ValueError(
        f"The encoder's activation must be one of {', '.join(map(repr, ACTIVATIONS))}. Received: "
        f"{getattr(function, '__name__', function)!r}"
    )


def _short_name(weight: Any) -> str:
    return "/".join(weight.name.split(":")[0].split("/")[-2:])


def _read_weights(weights: Any, names: dict[str, str]) -> dict[str, np.ndarray]:
    """Returns weights by the names of `transformers`, and all of them, or raises."""
    found = {_short_name(weight): weight for weight in weights}
    if set(found) != set(names) or len(found) != len(weights):
        missing = ", ".join(sorted(set(names) - set(found))) or "none"
        unexpected = ", ".join(sorted(set(found) - set(names))) or "none"
        raise ValueError(
            "The encoder's weights must be those of BigBird. Weights missing: "
            f"{missing}; weights unexpected: {unexpected}"
        )
    return {name: _to_tensor(short, found[short].numpy()) for short, name in names.items()}


def _to_tensor(short_name: str, array: np.ndarray) -> np.ndarray:
    """Brings a weight to the form of `transformers`: heads side by side, kernels [out, in]."""
    layer, kind = short_name.split("/")
    if kind == "kernel":
        rows = array.shape[:-1] if layer == "attention_output" else array.shape[:1]
        array = array.reshape(int(np.prod(rows)), -1).T
    elif kind == "bias":
        array = array.reshape(-1)
    return np.ascontiguousarray(array, np.float32)
