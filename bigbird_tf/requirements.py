"""Says what to install, where something that a part of the package needs is missing."""

from types import ModuleType

__all__ = ["require_tensorflow", "without_backend"]


def without_backend(error: ModuleNotFoundError) -> ImportError:
    """Returns what to raise where Keras could not be imported."""
    if (error.name or "").split(".")[0] != "tensorflow":
        return error
    return ImportError(
        "Keras' backend is TensorFlow, which is not installed. Either `pip install tensorflow "
        "tensorflow-text`, or, for JAX, `pip install jax` and set the environment variable "
        "KERAS_BACKEND=jax before Keras is imported."
    )


def require_tensorflow(what: str) -> ModuleType:
    """Returns the module `tensorflow`, after `tensorflow_text` was imported too.

    Args:
        what: What needs them, as the subject of a sentence.

    Raises:
        ImportError: If one of them is not installed.
    """
    try:
        import tensorflow as tf
        import tensorflow_text  # noqa: F401
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("tensorflow", "tensorflow_text"):
            raise
        raise ImportError(
            f"{what} need TensorFlow, whatever Keras' backend is, and {error.name!r} is not "
            "installed: `pip install tensorflow tensorflow-text`. Models, their training and "
            "`generate` on ids do without it."
        ) from error
    return tf
