"""`SummarizationServable`: summaries of documents."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from bigbird_tf.models import BigBirdPegasusForConditionalGeneration
from bigbird_tf.models.big_bird_pegasus.summary_generation import DEFAULTS, complete_arguments
from bigbird_tf.models.prompts import to_text
from bigbird_tf.models.special_ids import adopt_special_ids, read_stop_ids, stop_ids_of
from bigbird_tf.preprocessing.tokenizers import PegasusTokenizer
from bigbird_tf.serving.causal_lm import check_generation
from bigbird_tf.serving.servable import Servable, check_rank

__all__ = ["SummarizationServable"]

TOO_LONG = ("cut", "refuse")


class SummarizationServable(Servable):
    """Signatures of `BigBirdPegasusForConditionalGeneration`.

    `serving_default` takes strings `text` of shape (B,) and returns `summary`, strings; `tokens`,
    int32 of shape (B, max_new_tokens), of which those after the end are `pad_token_id`; and
    `num_cut`, int32 of shape (B,): how many pieces at a document's end were not read, since it has
    more than `max_length`. Of several summaries of a document, N with `num_return_sequences`, each
    is an entry of `summary` (B, N) and of `tokens` (B, N, max_new_tokens).

    `from_ids` takes `input_ids` and `attention_mask`, int32 of shape (B, S), and returns `tokens`.

    Args:
        model: A `BigBirdPegasusForConditionalGeneration`.
        tokenizer: A `PegasusTokenizer`, or `None`.
        max_new_tokens: The most tokens of a summary; `None` for the config's, as in `generate`.
        stop_token_ids: As in `generate`.
        generation: Further arguments of `generate`, such as `{"num_beams": 5,
            "no_repeat_ngram_size": 3}`; what it has not is as the config has it.
        too_long: What becomes of documents over `max_length`: `"cut"` or `"refuse"`, which makes
            the call fail.
        **options: `max_length`, of documents; `weight_dtype`.
    """

    input_names = ("input_ids", "attention_mask")

    def __init__(
        self,
        model: BigBirdPegasusForConditionalGeneration,
        tokenizer: PegasusTokenizer | None = None,
        *,
        max_new_tokens: int | None = None,
        stop_token_ids: int | Sequence[int] | None = None,
        generation: dict[str, Any] | None = None,
        too_long: str = "cut",
        **options: Any,
    ):
        if tokenizer is not None and not isinstance(tokenizer, PegasusTokenizer):
            raise TypeError(
                "`tokenizer` must be a `PegasusTokenizer`. Received: tokenizer of type "
                f"{type(tokenizer).__name__}"
            )
        if too_long not in TOO_LONG:
            raise ValueError(
                f"`too_long` must be one of {', '.join(map(repr, TOO_LONG))}. Received: "
                f"too_long={too_long!r}"
            )
        self.too_long = too_long
        if tokenizer is not None:
            adopt_special_ids(model, tokenizer)
        stops = read_stop_ids(model.config, stop_token_ids)
        if tokenizer is not None and stop_token_ids is None:
            stops = stop_ids_of(stops, tokenizer)
        self.stops = stops
        generation = generation or {}
        said = {name: generation.get(name) for name in DEFAULTS}
        said["max_new_tokens"] = max_new_tokens
        complete = complete_arguments(said, model.config, bool(generation.get("do_sample")))
        decoded = {**generation, "num_beams": complete["num_beams"]}
        check_generation(model, decoded, complete["max_new_tokens"])
        self.generation = {**generation, "max_new_tokens": max_new_tokens, "stop_token_ids": stops}
        self.num_return_sequences = generation.get("num_return_sequences", 1)
        rows_of_document = max(complete["num_beams"], self.num_return_sequences)
        self.tokens_besides = rows_of_document * complete["max_new_tokens"]
        super().__init__(model, tokenizer, **options)

    def _make_encode(self) -> Callable:
        """Makes the graph's one function of the model, from documents to tokens."""
        spec = [tf.TensorSpec([None, None], tf.int32, name=name) for name in self.input_names]

        @tf.function(input_signature=spec, autograph=False)
        def encode(input_ids, attention_mask):
            documents = {"input_ids": input_ids, "attention_mask": attention_mask}
            tokens = self.model.generate(documents, **self.generation)
            if self.num_return_sequences == 1:
                return tokens
            return tf.reshape(tokens, [-1, self.num_return_sequences, tokens.shape[-1]])

        return encode

    def from_ids_outputs(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the tokens of summaries for int32 inputs by name."""
        return {"tokens": self.encode(**inputs)}

    def string_functions(self) -> dict[str, Any]:
        """Returns `serving_default`."""

        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False
        )
        def summarize(text):
            return self._summarize(check_rank(text))

        return {"serving_default": summarize}

    def _summarize(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        ids, num_cut = self._read(text)

        def compute(rows):
            packed = self.tokenizer.pack(
                [tf.gather(ids, rows)],
                max_length=self.max_length,
                padding="longest",
                pad_to_multiple_of=None,
            )
            return rows, {"tokens": self.encode(**packed)}

        tokens_of = self.encode.get_concrete_function().structured_outputs.shape
        shape = [tf.shape(text)[0], *tokens_of[1:]]
        tokens = tf.fill(shape, self.tokenizer.pad_token_id)
        lengths = tf.cast(ids.row_lengths(), tf.int32) + int(self.tokenizer.add_eos_token)
        # What is empty has `</s>` all the same.
        lengths = tf.maximum(lengths, 1)
        results = {"tokens": tokens}
        # What a step holds is keys and values of documents and of all that is written.
        tokens = self.run_by_length(compute, lengths, results, tokens_besides=self.tokens_besides)[
            "tokens"
        ]
        with tf.device("/CPU:0"):
            rows = tf.reshape(tokens, [-1, tokens_of[-1]])
            summary = tf.reshape(to_text(rows, self.tokenizer, self.stops), tf.shape(tokens)[:-1])
        return {"summary": summary, "tokens": tokens, "num_cut": num_cut}

    def _read(self, text: tf.Tensor) -> tuple[tf.RaggedTensor, tf.Tensor]:
        """Returns the pieces of documents that are read, and how many are not."""
        room = self.max_length - int(self.tokenizer.add_eos_token)
        with tf.device("/CPU:0"):
            ids = self.tokenizer.tokenize(text)
            num_cut = tf.maximum(tf.cast(ids.row_lengths(), tf.int32) - room, 0)
            checks = []
            if self.too_long == "refuse":
                message = f"A document must have at most {room} pieces."
                checks = [tf.debugging.assert_less_equal(num_cut, 0, message)]
            with tf.control_dependencies(checks):
                return ids[:, :room], tf.identity(num_cut)

    def example_inputs(self, num_words: int) -> dict[str, list[str]]:
        """Returns a document of so many words."""
        return {"text": [self.tokenizer.example_word * num_words]}
