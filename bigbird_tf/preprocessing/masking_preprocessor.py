"""`MaskingPreprocessor`: what the preprocessors that hide words have in common."""

import math
from typing import Any

import tensorflow as tf

from bigbird_tf.preprocessing.masking import (
    MaskingRates,
    MaskingVocabulary,
    check_masking_rates,
    draw_uniform,
    mask_words,
)
from bigbird_tf.preprocessing.preprocessor import Preprocessor
from bigbird_tf.preprocessing.tokenizers import Tokenizer

__all__ = ["MaskingPreprocessor"]


class MaskingPreprocessor(Preprocessor):
    """Base of the preprocessors that hide words of texts.

    Its arguments, and what they may be, are described at `MaskedLMPreprocessor`.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_length: int = 4096,
        padding: str = "max_length",
        pad_to_multiple_of: int | None = None,
        mask_rate: float = 0.15,
        mask_token_rate: float = 0.8,
        random_token_rate: float = 0.1,
        max_masked: int | None = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(tokenizer, max_length, padding, pad_to_multiple_of, **kwargs)
        check_masking_rates(MaskingRates(mask_rate, mask_token_rate, random_token_rate))
        if max_masked is None:
            max_masked = max(1, math.ceil(mask_rate * max_length))
        if isinstance(max_masked, bool) or not isinstance(max_masked, int) or max_masked < 1:
            raise ValueError(
                f"`max_masked` must be a positive integer. Received: max_masked={max_masked!r}"
            )
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**22:
            raise ValueError(f"`seed` must be an integer in [0, 2**22). Received: seed={seed!r}")
        self.mask_rate = mask_rate
        self.mask_token_rate = mask_token_rate
        self.random_token_rate = random_token_rate
        self.max_masked = max_masked
        self.seed = seed
        self._masking_vocabulary: MaskingVocabulary | None = None
        if tokenizer.has_vocabulary:
            self._vocabulary()

    def _vocabulary(self) -> MaskingVocabulary:
        # In a file that is being loaded, the vocabulary comes after the constructor.
        if self._masking_vocabulary is None:
            self._masking_vocabulary = MaskingVocabulary.of(self.tokenizer)
        return self._masking_vocabulary

    def _mask(
        self, x: dict[str, tf.Tensor], text: tf.Tensor, draw: Any
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        """Hides words of packed inputs.

        Args:
            x: The inputs, int32 of shape (B, T).
            text: What the random choices depend on; strings of shape (B,).
            draw: An integer, or one for each text.

        Returns:
            The inputs with words hidden and `masked_positions` (B, K) beside them; the ids behind,
            int32 (B, K); their weights, float32 (B, K).
        """
        length = tf.shape(x["input_ids"])[1]
        uniform = draw_uniform(text, draw, self.seed, [length, 3])
        rates = MaskingRates(self.mask_rate, self.mask_token_rate, self.random_token_rate)
        ids, masked = mask_words(
            x["input_ids"], uniform, self._vocabulary(), rates, self.max_masked
        )
        ids = tf.ensure_shape(ids, x["input_ids"].shape)
        x = {**x, "input_ids": ids, "masked_positions": masked["masked_positions"]}
        return x, masked["masked_ids"], masked["masked_weights"]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "mask_rate": self.mask_rate,
            "mask_token_rate": self.mask_token_rate,
            "random_token_rate": self.random_token_rate,
            "max_masked": self.max_masked,
            "seed": self.seed,
        }
