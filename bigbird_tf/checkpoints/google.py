"""Google's own checkpoints of BigBird: TensorFlow 1 variables by name."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bigbird_tf.checkpoints.pretrained_directory import (
    check_output_directory,
    write_pretrained_directory,
)
from bigbird_tf.config import Activation, BigBirdConfig
from bigbird_tf.requirements import require_tensorflow

__all__ = ["config_from_google", "convert_google_checkpoint"]

# Google's setting: ours. What is not listed here is about runs, not about the model.
_SETTINGS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_hidden_layers": "num_hidden_layers",
    "num_attention_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "hidden_dropout_prob": "hidden_dropout_prob",
    "attention_probs_dropout_prob": "attention_probs_dropout_prob",
    "max_position_embeddings": "max_position_embeddings",
    "type_vocab_size": "type_vocab_size",
    "initializer_range": "initializer_range",
    "attention_type": "attention_type",
    "use_bias": "use_bias",
    "rescale_embedding": "rescale_embeddings",
    "block_size": "block_size",
    "num_rand_blocks": "num_random_blocks",
    "num_labels": "num_labels",
    "use_gradient_checkpointing": "gradient_checkpointing",
}
_REQUIRED_SETTINGS = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
_ACTIVATIONS: dict[str, Activation] = {"gelu": "gelu_new", "relu": "relu"}
# Google's models use full attention up to this length, whatever the block size.
_FULL_ATTENTION_UP_TO = 512

_WORD_EMBEDDINGS = "/embeddings/word_embeddings"
_ENCODER_DECODER = ("/attention/encdec", "/decoder/")
_TRAINING_STATE = ("global_step", "beta1_power", "beta2_power")


class Variable(NamedTuple):
    """One tensor of a model, and the variable it comes from.

    Attributes:
        name: The tensor's name in `transformers`.
        variable: The variable's name in Google's checkpoint.
        shape: The variable's shape there.
        is_transposed: Whether the tensor is the variable's transpose.
        is_optional: Whether zeros stand for a variable that is not there.
    """

    name: str
    variable: str
    shape: tuple[int, ...]
    is_transposed: bool = False
    is_optional: bool = False


def convert_google_checkpoint(
    checkpoint_prefix: str | os.PathLike,
    config: BigBirdConfig | dict[str, Any] | str | os.PathLike,
    output_dir: str | os.PathLike,
) -> None:
    """Makes a pretrained directory of a checkpoint of Google's BigBird code.

    Reads checkpoints of the encoder, with or without the heads of pre-training (masked LM, next
    sentence) and the classifier. What is written loads in every class here and, but for one
    setting, in `transformers`: Google's classifier has tanh inside (`classifier_act="tanh"`),
    which `transformers` has no setting for; it applies `hidden_act` and so gives other logits.
    The state of optimizers is passed over.

    Outputs equal those of Google's code: its random blocks (`random_plan="google"`, the same in
    training and inference) and its rule of full attention up to 512 tokens come with the config.

    Args:
        checkpoint_prefix: Path of the checkpoint without `.index` or `.data-…`; or a directory
            with a `checkpoint` file that names the latest one.
        config: Google's settings, as a dictionary or as the path of a JSON file that holds one; or
            a `BigBirdConfig`, which is then taken as it is (but for `classifier_act`); Google's
            rule of full attention is `full_attention_up_to=512` there.
        output_dir: A new or empty directory; gets `config.json` and `model.safetensors`. Put the
            vocabulary there as `spiece.model`.

    Raises:
        FileNotFoundError: If there is no such checkpoint or JSON file.
        FileExistsError: If `output_dir` has something in it.
        ValueError: If the checkpoint is damaged, is no encoder's (Pegasus and other
            encoder-decoders), or does not fit the config; the message names the variables that are
            missing, unexpected, or of other shapes. Nothing is written then.
    """
    check_output_directory(output_dir)
    if not isinstance(config, BigBirdConfig):
        config = config_from_google(config)
    shapes, read = _open_checkpoint(checkpoint_prefix)
    scope = _find_scope(checkpoint_prefix, shapes)
    heads = _find_heads(scope, shapes)
    if "classifier" in heads:
        config = config.replace(classifier_act="tanh")
    variables = list(_list_variables(config, scope, heads))
    _check_fit(checkpoint_prefix, shapes, variables)
    tensors = {}
    for variable in variables:
        if variable.variable in shapes:
            array = np.asarray(read(variable.variable), np.float32)
            tensors[variable.name] = np.ascontiguousarray(
                array.T if variable.is_transposed else array
            )
        else:
            tensors[variable.name] = np.zeros(variable.shape, np.float32)
    write_pretrained_directory(output_dir, config, tensors, _architecture(heads))


def config_from_google(settings: dict[str, Any] | str | os.PathLike) -> BigBirdConfig:
    """Makes a config of the settings that Google's code builds a model from.

    Args:
        settings: The dictionary, or the path of a JSON file that holds one. Settings that are not
            about the model's form (batch sizes, paths, optimizer) are passed over.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a JSON object, lacks a size, or is of an encoder-decoder or of a
            pre-norm model.
    """
    source = "`config`"
    if not isinstance(settings, (dict, str, os.PathLike)):
        raise ValueError(
            "`config` must be a `BigBirdConfig`, a dictionary of Google's settings, or the path of "
            f"a JSON file of them. Received: {type(settings).__name__}"
        )
    if not isinstance(settings, dict):
        source = str(settings)
        try:
            settings = json.loads(Path(settings).expanduser().read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{source} is not valid JSON: {error}") from error
        if not isinstance(settings, dict):
            raise ValueError(
                f"{source} must hold a JSON object. Received: {type(settings).__name__}"
            )
    if "model_type" in settings:
        raise ValueError(
            f"{source} is a config of `transformers` (it has a model_type), not Google's settings. "
            "Read it with `BigBirdConfig.from_pretrained` or `from_dict`, and pass the result."
        )
    if "max_decoder_length" in settings or "couple_encoder_decoder" in settings:
        raise ValueError(
            f"{source} is of an encoder-decoder (it has decoder settings). The classes here are "
            "encoders; there is none yet for Google's summarization models (Pegasus)."
        )
    norm_type = settings.get("norm_type", "postnorm")
    if norm_type != "postnorm":
        raise ValueError(
            f"{source} must be of a model with norm_type='postnorm', as all of Google's encoders "
            f"are. Received: norm_type={norm_type!r}"
        )
    missing = [name for name in _REQUIRED_SETTINGS if name not in settings]
    if missing:
        raise ValueError(
            f"{source} must have Google's settings of the model, and lacks: {', '.join(missing)}. "
            f"Received: {', '.join(map(str, sorted(settings))) or 'nothing'}"
        )
    activation = settings.get("hidden_act", "gelu")
    if activation not in _ACTIVATIONS:
        raise ValueError(
            f"`hidden_act` in {source} must be one of {', '.join(map(repr, _ACTIVATIONS))}. "
            f"Received: hidden_act={activation!r}"
        )
    fields = {ours: settings[name] for name, ours in _SETTINGS.items() if name in settings}
    return BigBirdConfig(
        hidden_act=_ACTIVATIONS[activation],
        full_attention_up_to=_FULL_ATTENTION_UP_TO,
        random_plan="google",
        inference_random_blocks="seeded",
        **fields,
    )


def _open_checkpoint(
    prefix: str | os.PathLike,
) -> tuple[dict[str, tuple[int, ...]], Callable[[str], np.ndarray]]:
    """Returns the shapes of a checkpoint's variables by name, and a function that reads one."""
    tf = require_tensorflow("Checkpoints of TensorFlow")

    path = str(Path(prefix).expanduser())
    if Path(path).is_dir():
        latest = tf.train.latest_checkpoint(path)
        if latest is None:
            raise FileNotFoundError(
                f"The directory {path} names no checkpoint (no file 'checkpoint'). Pass the "
                "checkpoint's prefix, such as the path of 'model.ckpt.index' without '.index'."
            )
        path = latest
    if not Path(f"{path}.index").is_file():
        raise FileNotFoundError(
            "`checkpoint_prefix` must be the path of a TensorFlow checkpoint without '.index'. "
            f"Received: checkpoint_prefix={str(prefix)!r}, and there is no file {path}.index"
        )

    def explain(error):
        return ValueError(
            f"{path} is not a whole TensorFlow checkpoint (damaged or cut off?): {error}"
        )

    # Which of these it is depends on what is damaged.
    errors = (tf.errors.OpError, RuntimeError, ValueError, IndexError)
    try:
        reader = tf.train.load_checkpoint(path)
        shapes = {name: tuple(s) for name, s in reader.get_variable_to_shape_map().items()}
    except errors as error:
        raise explain(error) from error
    if "_CHECKPOINTABLE_OBJECT_GRAPH" in shapes:
        raise ValueError(
            f"{path} is an object-based checkpoint of TensorFlow 2, and those of Google's BigBird "
            "code have variables by name. For the Model Garden's encoder, load the checkpoint into "
            "it and call `convert_model_garden_encoder`."
        )

    def read(name):
        try:
            return reader.get_tensor(name)
        except errors as error:
            raise explain(error) from error

    return shapes, read


def _find_scope(prefix: str | os.PathLike, shapes: dict[str, tuple[int, ...]]) -> str:
    """Returns the scope that all variables of the encoder are in, such as `"bert"`."""
    decoder = sorted(name for name in shapes if any(part in name for part in _ENCODER_DECODER))
    if decoder:
        raise ValueError(
            f"{prefix} is of an encoder-decoder: it has {_listing(decoder)}. The classes here are "
            "encoders; there is none yet for Google's summarization models (Pegasus)."
        )
    scopes = [
        name.removesuffix(_WORD_EMBEDDINGS) for name in shapes if name.endswith(_WORD_EMBEDDINGS)
    ]
    if len(scopes) != 1:
        raise ValueError(
            f"{prefix} must have one variable '<scope>{_WORD_EMBEDDINGS}', as checkpoints of "
            f"Google's BigBird have, and has {len(scopes)}. It has: {_listing(sorted(shapes))}"
        )
    return scopes[0]


def _find_heads(scope: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, str]:
    """Returns the heads that the checkpoint has, each with the scope of its variables."""
    candidates = (
        ("pooler", f"{scope}/pooler/dense"),
        # The layer of the masked LM opens its scope by name; whether Keras puts the scope around
        # the transform depends on how the model was called.
        ("transform", "transform"),
        ("transform", "cls/predictions/transform"),
        ("predictions", "cls/predictions"),
        ("seq_relationship", "cls/seq_relationship"),
        ("classifier", f"{scope}/classifier"),
    )
    return {
        head: found
        for head, found in candidates
        if any(name.rpartition("/")[0] == found for name in shapes)
    }


def _list_variables(config: BigBirdConfig, scope: str, heads: dict[str, str]) -> Iterator[Variable]:
    """Lists the tensors of a model that has these heads."""
    hidden, inner = config.hidden_size, config.intermediate_size

    def dense(name, variable, size_in, size_out, optional_bias=False):
        yield Variable(f"{name}.weight", f"{variable}/kernel", (size_in, size_out), True)
        yield Variable(f"{name}.bias", f"{variable}/bias", (size_out,), is_optional=optional_bias)

    def layer_norm(name, variable):
        yield Variable(f"{name}.weight", f"{variable}/gamma", (hidden,))
        yield Variable(f"{name}.bias", f"{variable}/beta", (hidden,))

    for name, size in (
        ("word_embeddings", config.vocab_size),
        ("position_embeddings", config.max_position_embeddings),
        ("token_type_embeddings", config.type_vocab_size),
    ):
        yield Variable(
            f"bert.embeddings.{name}.weight", f"{scope}/embeddings/{name}", (size, hidden)
        )
    yield from layer_norm("bert.embeddings.LayerNorm", f"{scope}/encoder/LayerNorm")
    for index in range(config.num_hidden_layers):
        ours, theirs = f"bert.encoder.layer.{index}", f"{scope}/encoder/layer_{index}"
        for name in ("query", "key", "value"):
            kernel, bias = dense(
                f"{ours}.attention.self.{name}", f"{theirs}/attention/self/{name}", hidden, hidden
            )
            yield kernel
            if config.use_bias:
                yield bias
        yield from dense(
            f"{ours}.attention.output.dense",
            f"{theirs}/attention/output/dense",
            hidden,
            hidden,
            # `use_bias=False` drops this one in Google's models, and not in `transformers`'.
            optional_bias=not config.use_bias,
        )
        yield from layer_norm(
            f"{ours}.attention.output.LayerNorm", f"{theirs}/attention/output/LayerNorm"
        )
        yield from dense(
            f"{ours}.intermediate.dense", f"{theirs}/intermediate/dense", hidden, inner
        )
        yield from dense(f"{ours}.output.dense", f"{theirs}/output/dense", inner, hidden)
        yield from layer_norm(f"{ours}.output.LayerNorm", f"{theirs}/output/LayerNorm")

    if "pooler" in heads:
        yield from dense("bert.pooler", heads["pooler"], hidden, hidden)
    if "predictions" in heads or "transform" in heads:
        transform = heads.get("transform", "transform")
        yield from dense("cls.predictions.transform.dense", transform, hidden, hidden)
        yield from layer_norm("cls.predictions.transform.LayerNorm", transform)
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


def _architecture(heads: dict[str, str]) -> str:
    if "classifier" in heads:
        return "BigBirdForSequenceClassification"
    if "predictions" in heads:
        return "BigBirdForPreTraining" if "seq_relationship" in heads else "BigBirdForMaskedLM"
    return "BigBirdModel"


def _check_fit(
    prefix: str | os.PathLike, shapes: dict[str, tuple[int, ...]], variables: Any
) -> None:
    """Raises a `ValueError` that names all variables that do not fit."""
    expected = {variable.variable for variable in variables}
    missing = sorted(
        {v.variable for v in variables if v.variable not in shapes and not v.is_optional}
    )
    unexpected = sorted(
        name for name in shapes if name not in expected and not _is_training_state(name, shapes)
    )
    misshapen = [
        f"{v.variable} is {shapes[v.variable]}, the config makes it {v.shape}"
        for v in variables
        if v.variable in shapes and shapes[v.variable] != v.shape
    ]
    problems = [
        f"{label}: {_listing(names)}"
        for label, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of wrong shape", misshapen),
        )
        if names
    ]
    if problems:
        raise ValueError(
            f"The checkpoint {prefix} does not fit the config, and nothing was written. "
            f"Variables {'; variables '.join(problems)}"
        )


def _is_training_state(name: str, shapes: dict[str, tuple[int, ...]]) -> bool:
    """Whether a variable is a counter, or an optimizer's slot, named `<variable>/adam_m`."""
    return name in _TRAINING_STATE or name.rpartition("/")[0] in shapes


def _listing(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
