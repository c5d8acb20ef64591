"""`SummaryGeneration`: summaries of documents, token by token."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from keras import ops

from bigbird_tf.config import GENERATION_SETTINGS
from bigbird_tf.config_checks import check_integer
from bigbird_tf.generation.decode import decode
from bigbird_tf.generation.decoding_arguments import decoding_options
from bigbird_tf.models.big_bird_pegasus.pair_inputs import ENCODER_NAMES
from bigbird_tf.models.inputs import is_text, read_inputs
from bigbird_tf.models.prompts import to_dense, to_text
from bigbird_tf.models.special_ids import (
    adopt_special_ids,
    check_in_vocabulary,
    read_stop_ids,
    stop_ids_of,
)
from bigbird_tf.nn.backend import compile_function, draw_seed
from bigbird_tf.types import Tensor

__all__ = ["DEFAULTS", "SummaryGeneration", "complete_arguments"]

# What is used where neither the caller nor the config says anything.
DEFAULTS = {
    "max_new_tokens": 256,
    "num_beams": 1,
    "length_penalty": 1.0,
    "early_stopping": False,
    "no_repeat_ngram_size": 0,
    "repetition_penalty": 1.0,
    "min_new_tokens": 0,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
}
# Lengths of `transformers` that count the start token.
_WHOLE_LENGTHS = {"max_new_tokens": ("max_length", 1), "min_new_tokens": ("min_length", 0)}


class SummaryGeneration:
    """Adds `generate` to a model that has `encode`, `make_cache` and `decode_step`."""

    config: Any
    reads_generation_settings: ClassVar[bool] = True
    _compiled_decode: Callable | None = None

    def generate(
        self,
        documents: Any,
        max_new_tokens: int | None = None,
        *,
        num_beams: int | None = None,
        length_penalty: float | None = None,
        early_stopping: bool | str | None = None,
        length_rule: str = "transformers",
        no_repeat_ngram_size: int | None = None,
        repetition_penalty: float | None = None,
        min_new_tokens: int | None = None,
        forced_bos_token_id: int | None = None,
        forced_eos_token_id: int | Sequence[int] | None = None,
        num_return_sequences: int = 1,
        do_sample: bool = False,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        stop_token_ids: int | Sequence[int] | None = None,
        tokenizer: Any = None,
        seed: int | None = None,
    ) -> Any:
        """Summarises documents: greedily, by beam search, or by sampling.

        Arguments mean what they mean in `transformers`, and give the same tokens. What is `None` is
        what the checkpoint's `generation_config.json` says, or its `config.json` if there is none,
        under the names of `transformers`: the published ones have 5 beams, a length penalty of 0.8,
        and a `max_length` of 256, which counts the start token too. Runs as one compiled loop with
        a cache of keys and values; inside a `tf.function` it becomes part of that graph, so it can
        go into a SavedModel.

        Args:
            documents: Integer ids `(B, S)`, dense or ragged; or a dictionary with `input_ids` and
                `attention_mask`, as a tokenizer gives it; or, with a tokenizer, one string or
                strings `(B,)`.
            max_new_tokens: The most tokens of a summary, M; 256 where the config has no
                `max_length`.
            num_beams: Width of beam search, K; 1 for none.
            length_penalty: Of beam search: scores are divided by length to this power.
            early_stopping: Of beam search: `True` ends a document's search once K beams have ended;
                `False` once the best open beam, judged at its present length, is behind them;
                `"never"` once no open beam can get better than they are.
            length_rule: Of beam search. `"transformers"` as above; `"google"` divides scores by
                ((5 + length) / 6) to the power of `length_penalty`, and always runs M steps, as
                Google's code does.
            no_repeat_ngram_size: No sequence of so many tokens comes twice in a summary; 0 for no
                such rule.
            repetition_penalty: Above 1, tokens that a summary has become less likely.
            min_new_tokens: How many tokens come before one of `stop_token_ids` may.
            forced_bos_token_id: What a summary begins with.
            forced_eos_token_id: What a summary of M tokens ends with; of several, any.
            num_return_sequences: How many summaries of each document to return, N: so many are
                sampled, or the best of the beams.
            do_sample: Whether to draw tokens at random; not with beams.
            temperature, top_k, top_p: Of sampling, as in `BigBirdForCausalLM.generate`.
            stop_token_ids: Tokens that end a summary; `None` for the config's `eos_token_id`, an
                empty list for none.
            tokenizer: A `PegasusTokenizer`.
            seed: Of sampling; `None` draws another one each time.

        Returns:
            int32 `(B * N, M)`: the tokens without the start token, with the token that ended a row,
            and `pad_token_id` behind it; the N of a document side by side, of beams the best first.
            For strings, their summaries: strings `(B * N,)`, or one string for one.

        Raises:
            TypeError: If the documents are strings and there is no tokenizer.
            ValueError: If an argument is impossible, or a document or M is more than
                `max_position_embeddings`.
            tf.errors.InvalidArgumentError: If an id is outside of the vocabulary.
        """
        if tokenizer is not None:
            if not hasattr(tokenizer, "decoder_start_token_id"):
                raise TypeError(
                    "`tokenizer` must be a `PegasusTokenizer`. Received: tokenizer of type "
                    f"{type(tokenizer).__name__}"
                )
            adopt_special_ids(self, tokenizer)
        config = self.config
        said = {
            "max_new_tokens": max_new_tokens,
            "num_beams": num_beams,
            "length_penalty": length_penalty,
            "early_stopping": early_stopping,
            "no_repeat_ngram_size": no_repeat_ngram_size,
            "repetition_penalty": repetition_penalty,
            "min_new_tokens": min_new_tokens,
            "forced_bos_token_id": forced_bos_token_id,
            "forced_eos_token_id": forced_eos_token_id,
        }
        stops = read_stop_ids(config, stop_token_ids)
        if tokenizer is not None and stop_token_ids is None:
            stops = stop_ids_of(stops, tokenizer)
        options = decoding_options(
            stop_token_ids=stops,
            do_sample=do_sample,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            num_return_sequences=num_return_sequences,
            length_rule=length_rule,
            **complete_arguments(said, config, do_sample),
        )
        for name in ("forced_bos_token_id", "forced_eos_token_id"):
            check_in_vocabulary(config, name, *options.get(name, ()))
        room = options["max_new_tokens"]
        if room > config.max_position_embeddings:
            raise ValueError(
                "`max_new_tokens` must be at most `max_position_embeddings`, "
                f"{config.max_position_embeddings}. Received: max_new_tokens={room}"
            )
        documents, is_scalar = _read_documents(documents, self.config, tokenizer)
        if do_sample:
            seed = draw_seed() if seed is None else ops.convert_to_tensor(seed, "int32")
        if self._compiled_decode is None:
            self._compiled_decode = compile_function(self._decode_in_graph, self)
        tokens = self._compiled_decode(
            documents["input_ids"],
            ops.cast(documents["attention_mask"], "int32"),
            seed if do_sample else None,
            # Not read within: a graph would keep them when the config is replaced.
            pad_token_id=self.config.pad_token_id,
            decoder_start_token_id=self.config.decoder_start_token_id,
            **options,
        )
        if tokenizer is None:
            return tokens
        text = to_text(tokens, tokenizer, stops)
        return text[0] if is_scalar and num_return_sequences == 1 else text

    def _decode_in_graph(
        self,
        ids: Tensor,
        mask: Tensor,
        seed: Tensor | None,
        *,
        decoder_start_token_id: int,
        max_new_tokens: int,
        **options: Any,
    ) -> Any:
        model: Any = self
        states = model.encode({"input_ids": ids, "attention_mask": mask})
        cache = model.make_cache(states, mask, max_new_tokens)
        starts = ops.full((ops.shape(ids)[0],), decoder_start_token_id, "int32")
        logits, cache = model.decode_step(starts, ops.convert_to_tensor(0, "int32"), cache)
        # All rows of a document read the same of it, so only the tokens' part moves with beams.
        document = {name: value for name, value in cache.items() if name != "tokens"}

        def step(tokens, t, cache):
            # The start token has the first place.
            logits, cache = model.decode_step(tokens, t + 1, {**document, "tokens": cache})
            return logits, cache["tokens"]

        return decode(
            step,
            logits,
            cache["tokens"],
            prompts=starts[:, None],
            is_prompt=ops.ones_like(starts[:, None]),
            seed=seed,
            max_new_tokens=max_new_tokens,
            **options,
        )


def complete_arguments(said: dict[str, Any], config: Any, do_sample: bool) -> dict[str, Any]:
    """Returns arguments of decoding, those that are missing or `None` as the config has them.

    Args:
        said: The arguments, by the names in `DEFAULTS`.
        config: A `BigBirdPegasusConfig`, with what `transformers` has in it in `extra`.
        do_sample: Whether tokens are drawn: the config's beams are of the search instead of it.

    Raises:
        ValueError: If a length is no integer, or below 1 (below 0 for the least).
    """
    settings = config.extra.get(GENERATION_SETTINGS, config.extra)
    found = {name: settings[name] for name in DEFAULTS if settings.get(name) is not None}
    for name, (theirs, least) in _WHOLE_LENGTHS.items():
        if settings.get(theirs) is not None:
            length = check_integer(theirs, settings[theirs], least)
            found.setdefault(name, max(length - 1, 0))
    complete = {**DEFAULTS, **found}
    complete.update({name: value for name, value in said.items() if value is not None})
    if do_sample and said.get("num_beams") is None:
        complete["num_beams"] = 1
    check_integer("max_new_tokens", complete["max_new_tokens"], 1)
    check_integer("min_new_tokens", complete["min_new_tokens"], 0)
    if said.get("min_new_tokens") is None:
        # The config's is of the config's length.
        complete["min_new_tokens"] = min(complete["min_new_tokens"], complete["max_new_tokens"])
    return complete


def _read_documents(documents: Any, config: Any, tokenizer: Any) -> tuple[dict[str, Tensor], bool]:
    """Returns documents as checked ids and mask, and whether there was one string alone."""
    is_scalar = False
    if is_text(documents):
        if tokenizer is None:
            raise TypeError(
                "Documents that are strings need `tokenizer`, a `PegasusTokenizer`. Received: "
                "tokenizer=None"
            )
        inputs = tokenizer(documents)
        is_scalar = len(inputs["input_ids"].shape) == 1
        names = ("input_ids", "attention_mask")
        documents = {name: inputs[name][None] if is_scalar else inputs[name] for name in names}
    if hasattr(documents, "row_splits"):
        documents = to_dense(documents, config.pad_token_id)
    return read_inputs(documents, config, names=ENCODER_NAMES), is_scalar
