"""`CausalLMServable`: continuations of texts."""

import inspect
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bigbird_tf.generation.decoding_arguments import check_decoding
from bigbird_tf.models import BigBirdForCausalLM, BigBirdPegasusForCausalLM
from bigbird_tf.models.prompts import prompt_pieces, to_text
from bigbird_tf.models.special_ids import stop_ids_of
from bigbird_tf.preprocessing.tokenizers import Tokenizer
from bigbird_tf.serving.servable import Servable, check_rank

__all__ = ["CausalLMServable", "check_generation"]


class CausalLMServable(Servable):
    """Signatures of `BigBirdForCausalLM` and `BigBirdPegasusForCausalLM`.

    `serving_default` takes strings `text` of shape (B,) and gives `continuation`, strings, and
    `tokens`, int32 of shape (B, max_new_tokens), of which those after the end are `pad_token_id`.
    A prompt that leaves no room for the new tokens is an error; nothing of it is cut. Of several
    continuations of a prompt, N with `num_return_sequences`, each is an entry of `continuation`
    (B, N) and of `tokens` (B, N, max_new_tokens).

    `from_ids` gives `logits`, float32 of shape (B, T, vocab_size).

    Args:
        model: A `BigBirdForCausalLM` or `BigBirdPegasusForCausalLM`.
        tokenizer: A `Tokenizer`, or `None`.
        max_new_tokens: The most tokens to add.
        stop_token_ids: As in `BigBirdForCausalLM.generate`.
        generation: Further arguments of `BigBirdForCausalLM.generate`, such as
            `{"do_sample": True, "top_p": 0.9}` or `{"num_beams": 4, "no_repeat_ngram_size": 3}`.
        **options: `max_length`, which prompt and new tokens share; `weight_dtype`.
    """

    def __init__(
        self,
        model: BigBirdForCausalLM | BigBirdPegasusForCausalLM,
        tokenizer: Tokenizer | None = None,
        *,
        max_new_tokens: int = 64,
        stop_token_ids: int | Sequence[int] | None = None,
        generation: dict[str, Any] | None = None,
        **options: Any,
    ):
        super().__init__(model, tokenizer, **options)
        is_integer = isinstance(max_new_tokens, int) and not isinstance(max_new_tokens, bool)
        if not is_integer or not 1 <= max_new_tokens < self.max_length:
            raise ValueError(
                "`max_new_tokens` must be an integer from 1 on that leaves room for a prompt in "
                f"`max_length`, {self.max_length}. Received: max_new_tokens={max_new_tokens!r}"
            )
        self.max_new_tokens = max_new_tokens
        self.stops = self.model.stop_tokens(stop_token_ids)
        if tokenizer is not None and stop_token_ids is None:
            self.stops = stop_ids_of(self.stops, tokenizer)
        self.generation = check_generation(model, generation or {}, max_new_tokens)
        self.num_return_sequences = self.generation.get("num_return_sequences", 1)

    def string_functions(self) -> dict[str, Any]:
        """Returns `serving_default`."""

        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False
        )
        def generate(text):
            return self._generate(check_rank(text))

        return {"serving_default": generate}

    def _generate(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.device("/CPU:0"):
            prompts = prompt_pieces(text, self.tokenizer)
        lengths = tf.cast(prompts.row_lengths(), tf.int32)
        room = self.max_length - self.max_new_tokens
        check = tf.debugging.assert_less_equal(
            lengths,
            room,
            message=f"A prompt must have at most {room} pieces, since {self.max_new_tokens} new "
            f"ones must fit into {self.max_length}.",
        )
        with tf.control_dependencies([check]):
            lengths = tf.identity(lengths)

        shape = [self.max_new_tokens]
        if self.num_return_sequences > 1:
            shape.insert(0, self.num_return_sequences)

        def compute(rows):
            chosen = tf.gather(prompts, rows)
            ids = chosen.to_tensor(self.tokenizer.pad_token_id)
            mask = tf.sequence_mask(chosen.row_lengths(), tf.shape(ids)[1], tf.int32)
            tokens = self.model.generate(
                {"input_ids": ids, "attention_mask": mask},
                self.max_new_tokens,
                stop_token_ids=self.stops,
                **self.generation,
            )
            return rows, {"tokens": tf.reshape(tokens, [-1, *shape])}

        # What a step holds is keys and values of prompts and new tokens alike.
        tokens = tf.fill([tf.shape(lengths)[0], *shape], self.tokenizer.pad_token_id)
        tokens = self.run_by_length(compute, lengths + self.max_new_tokens, {"tokens": tokens})[
            "tokens"
        ]
        with tf.device("/CPU:0"):
            rows = tf.reshape(tokens, [-1, self.max_new_tokens])
            text = to_text(rows, self.tokenizer, self.stops)
            return {"continuation": tf.reshape(text, tf.shape(tokens)[:-1]), "tokens": tokens}

    def example_inputs(self, num_words: int) -> dict[str, list[str]]:
        """Returns a prompt of so many words."""
        return {"text": [self.tokenizer.example_word * num_words]}


def check_generation(model: Any, generation: dict[str, Any], max_new_tokens: int) -> dict[str, Any]:
    """Returns the arguments of a model's `generate` if all are such, and possible."""
    of_model = inspect.signature(model.generate).parameters
    known = set(inspect.signature(check_decoding).parameters) & set(of_model) - {"max_new_tokens"}
    unknown = sorted(set(generation) - known - {"seed"})
    if unknown:
        raise ValueError(
            "`generation` takes arguments of `generate` that say how to decode: "
            f"{', '.join(sorted(known | {'seed'}))}. Received: {', '.join(unknown)}"
        )
    decoding = {name: value for name, value in generation.items() if name in known}
    check_decoding(max_new_tokens=max_new_tokens, **decoding)
    return generation
