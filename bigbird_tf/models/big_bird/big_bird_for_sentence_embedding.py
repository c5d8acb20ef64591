"""`BigBirdForSentenceEmbedding`: a vector for a whole text."""

from typing import Any

from keras import ops

from bigbird_tf.config import BigBirdConfig
from bigbird_tf.config_checks import check_choice, check_flag, check_integer
from bigbird_tf.models.big_bird.big_bird_model import BigBirdModel
from bigbird_tf.models.big_bird.global_inputs import read_big_bird_inputs
from bigbird_tf.models.registry import register_model
from bigbird_tf.nn.pooling import POOLING_MODES, pool_tokens, scale_to_length_one
from bigbird_tf.types import Inputs, Shape, Tensor

__all__ = ["BigBirdForSentenceEmbedding"]


@register_model
class BigBirdForSentenceEmbedding(BigBirdModel):
    """BigBird's encoder with its vectors of tokens pooled, as `sentence-transformers` does.

    `from_pretrained` reads the repositories of `sentence-transformers` (`modules.json`) and,
    without their files, any checkpoint of BigBird; `save_pretrained` writes what they read.

    Letters: B batch, T length. There is no loss by default: pass one to `compile`.

    Args:
        config: A `BigBirdConfig`.
        pooling_mode: `"mean"` or `"max"` over the real tokens, or `"cls"`, the first of them.
        normalize: Whether vectors are scaled to length one.
        max_seq_length: The longest text in tokens that SavedModels read; what is beyond is cut
            off. `None` for `max_position_embeddings`.
        prompt: What SavedModels put before each text; `None` for nothing.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: As `BigBirdModel`'s.
        training: Whether dropout acts.

    Returns:
        float32 vectors `(B, hidden_size)`.

    Raises:
        ValueError: If the inputs are of wrong shapes or dtypes, empty, or too long.
        tf.errors.InvalidArgumentError: If ids are outside of the vocabulary.

    Example:

    >>> config = BigBirdConfig(num_hidden_layers=1, hidden_size=8, num_attention_heads=2)
    >>> BigBirdForSentenceEmbedding(config)(keras.ops.ones((1, 5), "int32")).shape
    TensorShape([1, 8])
    """

    uses_pooler = False
    options = ("pooling_mode", "normalize", "max_seq_length", "prompt")
    # What the others load it as.
    architecture = "BigBirdModel"

    def __init__(
        self,
        config: BigBirdConfig,
        pooling_mode: str = "mean",
        normalize: bool = False,
        max_seq_length: int | None = None,
        prompt: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(config, **kwargs)
        self.pooling_mode = check_choice("pooling_mode", pooling_mode, POOLING_MODES)
        self.normalize = check_flag("normalize", normalize)
        longest = self.config.max_position_embeddings
        if max_seq_length is not None:
            # `sentence-transformers` cuts to what the model can read.
            max_seq_length = min(check_integer("max_seq_length", max_seq_length, 1), longest)
        self.max_seq_length = max_seq_length
        if prompt is not None and not isinstance(prompt, str):
            raise ValueError(f"`prompt` must be a string or None. Received: prompt={prompt!r}")
        self.prompt = prompt
        if self.pooler is not None:
            self.pooler.trainable = False

    # It returns one tensor, and takes no requests for what is inside of the encoder.
    def call(  # type: ignore[override]
        self, inputs: Inputs, training: bool | None = None
    ) -> Tensor:
        """Encodes and pools; see the class."""
        inputs = read_big_bird_inputs(inputs, self.config)
        hidden, _, _ = self.encode(inputs, training=training)
        pooled = pool_tokens(hidden, inputs["attention_mask"], self.pooling_mode)
        return ops.cast(scale_to_length_one(pooled) if self.normalize else pooled, "float32")

    def compute_output_shape(  # type: ignore[override]
        self, input_shape: Shape | dict[str, Shape]
    ) -> Shape:
        """Returns `(B, hidden_size)`."""
        if isinstance(input_shape, dict):
            input_shape = input_shape["input_ids"]
        return (input_shape[0], self.config.hidden_size)

    def get_config(self) -> dict[str, Any]:
        """Returns all constructor arguments."""
        return {**super().get_config(), **{name: getattr(self, name) for name in self.options}}
