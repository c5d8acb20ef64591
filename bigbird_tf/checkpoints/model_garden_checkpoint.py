"""Restores a BigBird encoder of the Model Garden from its checkpoint."""

import json
import os
from pathlib import Path
from typing import Any

from bigbird_tf.requirements import require_tensorflow

__all__ = ["load_model_garden_encoder"]


def load_model_garden_encoder(
    checkpoint: str | os.PathLike, settings: dict[str, Any] | str | os.PathLike
) -> Any:
    """Builds an encoder and restores its weights.

    Args:
        checkpoint: Path of a `tf.train.Checkpoint` that has the encoder as `encoder` or `model`,
            without `.index`.
        settings: Fields of `official.nlp.configs.encoders.BigBirdEncoderConfig`, as a dictionary
            or as the path of a JSON file that holds one.

    Returns:
        The encoder, for `convert_model_garden_encoder`.

    Raises:
        ImportError: If `tf-models-official` is not installed.
        FileNotFoundError: If there is no such checkpoint or file.
        ValueError: If a setting is unknown, or the checkpoint does not have all of the encoder.
    """
    tf = require_tensorflow("The Model Garden's encoders")

    try:
        from official.nlp.configs import encoders
    except ImportError as error:
        raise ImportError(
            "Checkpoints of the Model Garden need tf-models-official: "
            "pip install 'bigbird-tf[model-garden]'"
        ) from error

    if not isinstance(settings, dict):
        path = Path(settings)
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"`settings` must be a JSON file. {path}: {error}") from error
    if not Path(f"{checkpoint}.index").is_file():
        raise FileNotFoundError(f"`checkpoint` must be a checkpoint's path. Received: {checkpoint}")
    config = encoders.EncoderConfig(type="bigbird")
    try:
        config.bigbird.override(settings, is_strict=True)
    except KeyError as error:
        raise ValueError(
            f"`settings` must have fields of BigBirdEncoderConfig only: {error}"
        ) from error
    encoder = encoders.build_encoder(config)
    names = {name.split("/")[0] for name, _ in tf.train.list_variables(str(checkpoint))}
    root = next((name for name in ("encoder", "model") if name in names), None)
    if root is None:
        raise ValueError(
            "`checkpoint` must have an encoder as 'encoder' or 'model'. Received one with "
            f"{', '.join(sorted(names))}"
        )
    status = tf.train.Checkpoint(**{root: encoder}).read(str(checkpoint))
    try:
        status.assert_existing_objects_matched()
    except AssertionError as error:
        raise ValueError(f"`checkpoint` does not have all of the encoder: {error}") from error
    status.expect_partial()
    return encoder
