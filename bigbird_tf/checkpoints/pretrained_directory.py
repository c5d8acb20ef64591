"""Writes the directory that a pretrained model is loaded from, whole or not at all."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bigbird_tf.checkpoints.tensor_files import SAFETENSORS_NAME, write_tensors
from bigbird_tf.config import ModelConfig

__all__ = ["check_output_directory", "write_pretrained_directory"]


def check_output_directory(output_dir: str | os.PathLike) -> Path:
    """Returns the path of a directory that may be written: one that is new or empty.

    Raises:
        FileExistsError: If there is something already.
    """
    path = Path(output_dir).expanduser().absolute()
    if path.is_dir() and not any(path.iterdir()):
        return path
    if path.exists() or path.is_symlink():
        raise FileExistsError(
            f"`output_dir` must be a new or an empty directory, so that nothing is overwritten. "
            f"Received: output_dir={str(output_dir)!r}"
        )
    return path


def write_pretrained_directory(
    output_dir: str | os.PathLike,
    config: ModelConfig,
    tensors: dict[str, np.ndarray],
    architecture: str,
    files: Mapping[str, bytes] | None = None,
) -> None:
    """Writes `config.json` and `model.safetensors`.

    They are written into a folder beside `output_dir` that is renamed at the end, so that an
    interrupted conversion leaves no directory that looks finished.

    Args:
        output_dir: A new or empty directory.
        config: The model's config.
        tensors: Arrays by the names that `transformers` has.
        architecture: Name of the class that has all these tensors.
        files: The contents of further files by name.

    Raises:
        FileExistsError: If `output_dir` has something in it.
    """
    path = check_output_directory(output_dir)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        write_tensors(tensors, partial / SAFETENSORS_NAME)
        extra = {**config.extra, "architectures": [architecture]}
        config.replace(extra=extra).save_pretrained(partial)
        for name, content in (files or {}).items():
            (partial / name).write_bytes(content)
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
