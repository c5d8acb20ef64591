"""Weights stored in half or a quarter of the size."""

import warnings

import keras

from bigbird_tf.models.pretrained_model import PretrainedModel

__all__ = ["STORED_DTYPES", "with_stored_dtype"]

STORED_DTYPES = ("float16", "bfloat16", "int8")


class _StoredDtypePolicy(keras.dtype_policies.DTypePolicy):
    """A policy that computes as another one does, with variables of another dtype."""

    def __init__(self, name: str, stored_dtype: str):
        super().__init__(name)
        self._variable_dtype = stored_dtype


def with_stored_dtype(model: PretrainedModel, stored_dtype: str) -> PretrainedModel:
    """Returns a copy of a model whose weights are stored in another dtype.

    With 16 bits the copy casts its weights to its compute dtype wherever it uses them; so what
    changes is that each weight is rounded once, and no activation is. int8 is Keras' quantization:
    kernels and embeddings have 8 bits and a scale for each output, what they are multiplied with is
    rounded to 8 bits as well, and biases and normalisation stay as they are.

    Args:
        model: The model, which stays as it is.
        stored_dtype: `"float16"`, `"bfloat16"` or `"int8"`.

    Raises:
        ValueError: If the dtype is another one, the model is quantized already, or a weight is too
            large for float16.
    """
    if stored_dtype not in STORED_DTYPES:
        raise ValueError(
            f"`weight_dtype` must be one of {STORED_DTYPES}, or None. Received: {stored_dtype!r}"
        )
    config = model.get_config()
    if stored_dtype != "int8":
        config["dtype"] = _StoredDtypePolicy(model.dtype_policy.name, stored_dtype)
    is_changed = bool(config.pop("quantizations", ()))
    copy = type(model).from_config(config)
    if is_changed or [w.shape for w in copy.weights] != [w.shape for w in model.weights]:
        raise ValueError(
            "`weight_dtype` is for models as they are made or loaded. Received: a model whose "
            "weights have changed since, as `quantize` and `enable_lora` change them"
        )
    for target, source in zip(copy.weights, model.weights, strict=True):
        target.assign(keras.ops.cast(source, target.dtype))
        if not keras.ops.all(keras.ops.isfinite(target.value)):
            raise ValueError(
                f"The weight {source.path!r} has values that {stored_dtype} does not have. Use "
                "weight_dtype='bfloat16', or None"
            )
    if stored_dtype == "int8":
        with warnings.catch_warnings():
            # Normalisation and dropout cannot be quantized, and need not be.
            warnings.filterwarnings("ignore", message=".* does not have a `quantize` method")
            copy.quantize("int8")
    return copy
