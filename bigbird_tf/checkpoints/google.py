"""Google's own checkpoints of BigBird: TensorFlow 1 variables by name."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bigbird_tf.checkpoints.google_pegasus_variables import list_pegasus_variables
from bigbird_tf.checkpoints.google_settings import config_from_google
from bigbird_tf.checkpoints.google_variables import list_variables
from bigbird_tf.checkpoints.pretrained_directory import (
    check_output_directory,
    write_pretrained_directory,
)
from bigbird_tf.config import BigBirdConfig, BigBirdPegasusConfig
from bigbird_tf.requirements import require_tensorflow

__all__ = ["config_from_google", "convert_google_checkpoint"]

_WORD_EMBEDDINGS = "/embeddings/word_embeddings"
_ENCODER_DECODER = ("/attention/encdec", "/decoder/")
_TRAINING_STATE = ("global_step", "beta1_power", "beta2_power")


def convert_google_checkpoint(
    checkpoint_prefix: str | os.PathLike,
    config: BigBirdConfig | BigBirdPegasusConfig | dict[str, Any] | str | os.PathLike,
    output_dir: str | os.PathLike,
) -> None:
    """Makes a pretrained directory of a checkpoint of Google's BigBird code.

    Reads checkpoints of the encoder, with or without the heads of pre-training (masked LM, next
    sentence) and the classifier, and of encoder-decoders: Pegasus, and those of post-norm or with
    weights in common. What is written loads in every class here and, but for one setting of each,
    in `transformers`: Google's classifier has tanh inside (`classifier_act="tanh"`), where it
    applies `hidden_act` and so gives other logits; the epsilon of Pegasus is smaller,
    `layer_norm_eps=1e-12`, where it has 1e-5 always. It has no encoder-decoder of post-norm.
    The state of optimizers is passed over, and so are biases that a model without has no place
    for: silently where they are zero, else with a warning.

    Outputs equal those of Google's code: its random blocks (`random_plan="google"`, the same in
    training and inference) and its rule of full attention up to 512 tokens come with the config.

    Args:
        checkpoint_prefix: Path of the checkpoint without `.index` or `.data-…`; or a directory
            with a `checkpoint` file that names the latest one.
        config: Google's settings, as a dictionary or as the path of a JSON file that holds one; or
            a `BigBirdConfig` or `BigBirdPegasusConfig`, which is then taken as it is (but for
            `classifier_act`); Google's rule of full attention is `full_attention_up_to=512` there,
            its epsilon in Pegasus `layer_norm_eps=1e-12`.
        output_dir: A new or empty directory; gets `config.json` and `model.safetensors`. Put the
            vocabulary there as `spiece.model`.

    Raises:
        FileNotFoundError: If there is no such checkpoint or JSON file.
        FileExistsError: If `output_dir` has something in it.
        ValueError: If the checkpoint is damaged, or does not fit the config; the message names the
            variables that are missing, unexpected, or of other shapes. Nothing is written then.
    """
    check_output_directory(output_dir)
    if not isinstance(config, (BigBirdConfig, BigBirdPegasusConfig)):
        config = config_from_google(config)
    shapes, read = _open_checkpoint(checkpoint_prefix)
    scope = _find_scope(checkpoint_prefix, shapes)
    if isinstance(config, BigBirdPegasusConfig):
        variables = list(list_pegasus_variables(config, scope))
        architecture = "BigBirdPegasusForConditionalGeneration"
    else:
        _check_has_no_decoder(checkpoint_prefix, shapes)
        heads = _find_heads(scope, shapes)
        if "classifier" in heads:
            config = config.replace(classifier_act="tanh")
        variables = list(list_variables(config, scope, heads))
        architecture = _architecture(heads)
    _check_fit(checkpoint_prefix, shapes, variables)
    tensors, left_out = {}, []
    for variable in variables:
        array = np.zeros(variable.shape, np.float32)
        if variable.variable in shapes:
            array = np.asarray(read(variable.variable), np.float32)
        if variable.name is not None:
            array = array.T if variable.is_transposed else array
            tensors[variable.name] = np.ascontiguousarray(array)
        elif array.any():
            left_out.append(variable.variable)
    if left_out:
        warnings.warn(
            f"{_listing(left_out)} of {checkpoint_prefix} are not zero, and left out: the config "
            "has use_bias=False, as Google's code then does not read them",
            stacklevel=2,
        )
    write_pretrained_directory(output_dir, config, tensors, architecture)


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
    """Returns the scope that all variables of the model are in, such as `"bert"`."""
    scopes = [
        name.removesuffix(_WORD_EMBEDDINGS) for name in shapes if name.endswith(_WORD_EMBEDDINGS)
    ]
    if len(scopes) != 1:
        raise ValueError(
            f"{prefix} must have one variable '<scope>{_WORD_EMBEDDINGS}', as checkpoints of "
            f"Google's BigBird have, and has {len(scopes)}. It has: {_listing(sorted(shapes))}"
        )
    return scopes[0]


def _check_has_no_decoder(prefix: str | os.PathLike, shapes: dict[str, tuple[int, ...]]) -> None:
    decoder = sorted(name for name in shapes if any(part in name for part in _ENCODER_DECODER))
    if decoder:
        raise ValueError(
            f"{prefix} is of an encoder-decoder: it has {_listing(decoder)}. The config is of an "
            "encoder: pass Google's settings of the whole model (with max_decoder_length), or a "
            "`BigBirdPegasusConfig`"
        )


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
