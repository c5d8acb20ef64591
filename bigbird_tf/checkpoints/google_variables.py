"""The variables of Google's BigBird encoders, and the tensors that they become."""

from collections.abc import Iterator
from typing import NamedTuple

from bigbird_tf.config import BigBirdConfig

__all__ = ["Variable", "dense", "layer_norm", "list_variables"]


class Variable(NamedTuple):
    """One tensor of a model, and the variable it comes from.

    Attributes:
        name: The tensor's name in `transformers`; `None` for what the model has no place for.
        variable: The variable's name in Google's checkpoint.
        shape: The variable's shape there.
        is_transposed: Whether the tensor is the variable's transpose.
        is_optional: Whether zeros stand for a variable that is not there.
    """

    name: str | None
    variable: str
    shape: tuple[int, ...]
    is_transposed: bool = False
    is_optional: bool = False


def dense(
    name: str,
    variable: str,
    size_in: int,
    size_out: int,
    *,
    has_bias: bool = True,
    spare_bias: bool = False,
    optional_bias: bool = False,
) -> Iterator[Variable]:
    """Lists the variables of a dense layer.

    Args:
        name, variable: The layer's name in `transformers` and there.
        size_in, size_out: Its sizes.
        has_bias: Whether the model has a bias.
        spare_bias: Whether a checkpoint may have a bias that the model has not.
        optional_bias: Whether zeros stand for a bias that is not there.
    """
    yield Variable(f"{name}.weight", f"{variable}/kernel", (size_in, size_out), True)
    if has_bias or spare_bias:
        yield Variable(
            f"{name}.bias" if has_bias else None,
            f"{variable}/bias",
            (size_out,),
            is_optional=optional_bias or not has_bias,
        )


def layer_norm(name: str, variable: str, size: int) -> Iterator[Variable]:
    """Lists the variables of a layer normalisation; names as of `dense`."""
    yield Variable(f"{name}.weight", f"{variable}/gamma", (size,))
    yield Variable(f"{name}.bias", f"{variable}/beta", (size,))


def list_variables(config: BigBirdConfig, scope: str, heads: dict[str, str]) -> Iterator[Variable]:
    """Lists the tensors of a model that has these heads."""
    hidden, inner = config.hidden_size, config.intermediate_size

    for name, size in (
        ("word_embeddings", config.vocab_size),
        ("position_embeddings", config.max_position_embeddings),
        ("token_type_embeddings", config.type_vocab_size),
    ):
        yield Variable(
            f"bert.embeddings.{name}.weight", f"{scope}/embeddings/{name}", (size, hidden)
        )
    yield from layer_norm("bert.embeddings.LayerNorm", f"{scope}/encoder/LayerNorm", hidden)
    for index in range(config.num_hidden_layers):
        ours, theirs = f"bert.encoder.layer.{index}", f"{scope}/encoder/layer_{index}"
        for name in ("query", "key", "value"):
            yield from dense(
                f"{ours}.attention.self.{name}",
                f"{theirs}/attention/self/{name}",
                hidden,
                hidden,
                has_bias=config.use_bias,
            )
        yield from dense(
            f"{ours}.attention.output.dense",
            f"{theirs}/attention/output/dense",
            hidden,
            hidden,
            # `use_bias=False` drops this one in Google's models, and not in `transformers`'.
            optional_bias=not config.use_bias,
        )
        yield from layer_norm(
            f"{ours}.attention.output.LayerNorm", f"{theirs}/attention/output/LayerNorm", hidden
        )
        yield from dense(
            f"{ours}.intermediate.dense", f"{theirs}/intermediate/dense", hidden, inner
        )
        yield from dense(f"{ours}.output.dense", f"{theirs}/output/dense", inner, hidden)
        yield from layer_norm(f"{ours}.output.LayerNorm", f"{theirs}/output/LayerNorm", hidden)

    if "pooler" in heads:
        yield from dense("bert.pooler", heads["pooler"], hidden, hidden)
    if "predictions" in heads or "transform" in heads:
        transform = heads.get("transform", "transform")
        yield from dense("cls.predictions.transform.dense", transform, hidden, hidden)
        yield from layer_norm("cls.predictions.transform.LayerNorm", transform, hidden)
        yield Variable("cls.predictions.bias", "cls/predictions/output_bias", (config.vocab_size,))
    if "seq_relationship" in heads:
        found = heads["seq_relationship"]
        # Stored [out, in], unlike all other kernels.
        yield Variable("cls.seq_relationship.weight", f"{found}/output_weights", (2, hidden))
        yield Variable("cls.seq_relationship.bias", f"{found}/output_bias", (2,))
    if "classifier" in heads:
        # Google's head is one dense layer on the pooled vector. The pooler is in the head here.
        yield from dense("classifier.dense", f"{scope}/pooler/dense", hidden, hidden)
        yield from dense("classifier.out_proj", heads["classifier"], hidden, config.num_labels)
