"""`CheckedModel`: a `keras.Model` that says what it takes."""

import os
from typing import Any

import keras

from bigbird_tf.models.inputs import INPUT_NAMES, check_kind_of_inputs
from bigbird_tf.nn.backend import compute_spec
from bigbird_tf.types import Inputs, Tensor

__all__ = ["CheckedModel"]


class CheckedModel(keras.Model):
    """A `keras.Model` on ids that refuses what Keras would silently make tensors of.

    It knows its inputs, so that it is exported without having been called. Subclasses have a
    `config`, and say in `input_rank` how many dimensions their ids have, in `input_names` what
    their inputs are called, and in `exported_inputs` which of them `export` has by default.

    Args:
        **kwargs: Of `keras.Model`.
    """

    input_rank = 2
    input_names: tuple[str, ...] = INPUT_NAMES
    exported_inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids")
    # Keras' own would be traced into every SavedModel, on inputs of a floating dtype.
    _default_save_signature = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the model, after a look at what Keras would make tensors of silently."""
        if args or "inputs" in kwargs:
            check_kind_of_inputs(args[0] if args else kwargs["inputs"])
        elif not set(kwargs).isdisjoint(self.input_names):
            raise TypeError(
                "A model's inputs are one dictionary: call model(tokenizer(texts)), without `**`, "
                "or model({'input_ids': ids, 'attention_mask': mask}). Received the arguments: "
                f"{', '.join(kwargs)}"
            )
        return super().__call__(*args, **kwargs)

    def compute_output_spec(self, inputs: Inputs, *args: Any, **kwargs: Any) -> Any:
        """Returns shapes and dtypes of what a call returns, `None` for sizes that are unknown."""
        compute = super().compute_output_spec
        return compute_spec(lambda inputs: compute(inputs, *args, **kwargs), inputs)

    def fit(self, x: Tensor | None = None, *args: Any, **kwargs: Any) -> Any:
        """Trains, like `keras.Model.fit`; texts must be made ids before."""
        check_kind_of_inputs(x)
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x: Tensor | None = None, *args: Any, **kwargs: Any) -> Any:
        """Measures loss and metrics, like `keras.Model.evaluate`."""
        check_kind_of_inputs(x)
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Computes outputs in batches, like `keras.Model.predict`; of no rows, those of no rows.

        Raises:
            TypeError: If `x` is no input of a model, such as texts.
            ValueError: If `x` is a data set or a generator without a batch.
        """
        check_kind_of_inputs(x)
        arrays = keras.tree.flatten(x)
        if arrays and all(len(getattr(x, "shape", ())) > 0 and x.shape[0] == 0 for x in arrays):
            return self.predict_on_batch(x)
        try:
            return super().predict(x, *args, **kwargs)
        except UnboundLocalError as error:
            # Keras 3.15 knows its outputs only where there was a batch.
            if "batch_outputs" not in str(error):
                raise
            raise ValueError(
                f"`x` must have one batch at least. Received none of: {type(x).__name__}"
            ) from error

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Writes the model alone, on ids, like `keras.Model.export`.

        `bigbird_tf.export_saved_model` writes what a server needs: strings in and answers out.

        Args:
            filepath: The folder or file.
            format: As in Keras: `"tf_saved_model"`, `"litert"`, `"onnx"` and so on.
            verbose: Whether to print a message.
            input_signature: As in Keras. By default it is a dictionary of `input_ids`,
                `attention_mask` and the like, int32, of any batch size and length; for `"litert"`
                of any batch size and the length `max_position_embeddings`, since TensorFlow's
                converter makes nothing that runs of a free length.
            **kwargs: As in Keras.

        Raises:
            ValueError: If `"litert"` is asked for with a free length.
            RuntimeError: If TensorFlow's converter to LiteRT fails.
        """
        is_litert = format == "litert"
        if input_signature is None:
            length = self.config.max_position_embeddings if is_litert else None
            shape = (*(None,) * (self.input_rank - 1), length)
            names = self.exported_inputs
            if getattr(self.config, "global_reads", "all") == "members":
                names = (*names, "global_membership")
            specs = {
                name: keras.layers.InputSpec(shape=shape, dtype="int32", name=name)
                for name in names
            }
            input_signature = [specs]
        if is_litert:
            self._export_to_litert(filepath, verbose, input_signature, kwargs)
        else:
            super().export(filepath, format, verbose, input_signature, **kwargs)

    def _export_to_litert(
        self, filepath: str | os.PathLike, verbose: bool | None, input_signature: Any, options: Any
    ) -> None:
        advice = "`bigbird_tf.export_saved_model` has no such limits"
        if any(spec.shape[-1] is None for spec in keras.tree.flatten(input_signature)):
            raise ValueError(
                "For format='litert' the length must be fixed: attention of a free length needs "
                "operations that LiteRT has not. Pass such an `input_signature`, and pad to it; "
                f"{advice}. Received: input_signature={input_signature}"
            )
        try:
            super().export(filepath, "litert", verbose, input_signature, **options)
        except (OSError, ValueError):
            raise
        except Exception as error:
            raise RuntimeError(
                f"TensorFlow's converter to LiteRT failed; {advice}. {error}"
            ) from error
