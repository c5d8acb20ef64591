"""The variables of Google's BigBird-Pegasus, and the tensors that they become."""

from collections.abc import Iterator
from typing import NamedTuple

from bigbird_tf.checkpoints.google_variables import Variable, dense, layer_norm
from bigbird_tf.config import BigBirdPegasusConfig

__all__ = ["list_pegasus_variables"]


class _Norms(NamedTuple):
    """Where the normalisations of a block's parts are."""

    attention: str
    documents: str
    feed_forward: str


_PRE_NORM = _Norms("attention/self", "attention/encdec", "intermediate")
_POST_NORM = _Norms("attention/output", "attention/encdec_output", "output")


def list_pegasus_variables(config: BigBirdPegasusConfig, scope: str) -> Iterator[Variable]:
    """Lists the tensors of an encoder-decoder.

    Args:
        config: The model's config.
        scope: The scope that all variables are in, such as `"pegasus"`.
    """
    # Variables that stacks share become tensors of both.
    scopes = {
        "encoder": "encoder",
        "decoder": "encoder" if config.tie_encoder_decoder else "decoder",
    }
    norms = _PRE_NORM if config.normalize_before else _POST_NORM
    words, positions = (f"{scope}/embeddings/{name}_embeddings" for name in ("word", "position"))
    hidden = config.d_model
    yield Variable("model.shared.weight", words, (config.vocab_size, hidden))
    for stack in ("encoder", "decoder"):
        yield Variable(
            f"model.{stack}.embed_positions.weight",
            positions,  # Google's code has one table for both stacks.
            (config.max_position_embeddings, hidden),
        )
        yield from layer_norm(
            f"model.{stack}.layernorm_embedding", f"{scope}/{scopes[stack]}/LayerNorm", hidden
        )
    for index in range(config.encoder_layers):
        ours, theirs = f"model.encoder.layers.{index}", f"{scope}/encoder/layer_{index}"
        names = {name: f"self.{name}" for name in ("query", "key", "value")}
        yield from _attention(
            f"{ours}.self_attn", f"{theirs}/attention", {**names, "output": "output"}, config
        )
        yield from _halves(ours, theirs, hidden, config.encoder_ffn_dim, norms)
    for index in range(config.decoder_layers):
        ours, theirs = f"model.decoder.layers.{index}", f"{scope}/{scopes['decoder']}/layer_{index}"
        names = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}
        yield from _attention(f"{ours}.self_attn", f"{theirs}/attention", names, config)
        yield from _attention(
            f"{ours}.encoder_attn", f"{theirs}/attention", names, config, of="encdec"
        )
        yield from layer_norm(
            f"{ours}.encoder_attn_layer_norm", f"{theirs}/{norms.documents}/LayerNorm", hidden
        )
        yield from _halves(ours, theirs, hidden, config.decoder_ffn_dim, norms)


def _attention(
    ours: str, theirs: str, names: dict[str, str], config: BigBirdPegasusConfig, of: str = "self"
) -> Iterator[Variable]:
    output = "output" if of == "self" else f"{of}_output"
    for part, name in names.items():
        variable = f"{theirs}/{output}/dense" if part == "output" else f"{theirs}/{of}/{part}"
        size = config.d_model
        # Published checkpoints have these biases even with use_bias=False.
        yield from dense(
            f"{ours}.{name}", variable, size, size, has_bias=config.use_bias, spare_bias=True
        )


def _halves(ours: str, theirs: str, hidden: int, inner: int, norms: _Norms) -> Iterator[Variable]:
    """Lists the norms of both halves of a block, and the second half's dense layers."""
    yield from layer_norm(
        f"{ours}.self_attn_layer_norm", f"{theirs}/{norms.attention}/LayerNorm", hidden
    )
    yield from dense(f"{ours}.fc1", f"{theirs}/intermediate/dense", hidden, inner)
    yield from dense(f"{ours}.fc2", f"{theirs}/output/dense", inner, hidden)
    yield from layer_norm(
        f"{ours}.final_layer_norm", f"{theirs}/{norms.feed_forward}/LayerNorm", hidden
    )
