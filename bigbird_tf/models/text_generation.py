"""`TextGeneration`: continuations of texts, token by token."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from bigbird_tf.generation.decode import decode, repeat_rows
from bigbird_tf.generation.decoding_arguments import decoding_options
from bigbird_tf.models.prompts import Prompts, read_prompts, to_text
from bigbird_tf.models.special_ids import adopt_special_ids, read_stop_ids, stop_ids_of
from bigbird_tf.nn.backend import compile_function, draw_seed
from bigbird_tf.types import Tensor

__all__ = ["TextGeneration"]


class TextGeneration:
    """Adds `generate` to a model that says in `_read` how tokens are read, and has `_predict`."""

    config: Any
    input_names: tuple[str, ...]
    _compiled_decode: Callable | None = None

    def _read(
        self,
        ids: Tensor,
        positions: Tensor,
        mask: Tensor,
        cache: Any = None,
        index: Any = None,
    ) -> tuple[Tensor, Any]:
        """Returns states of tokens, and a cache with them in it; see `Encoder.call_with_cache`."""
        raise NotImplementedError

    def _predict(self, hidden: Tensor) -> Tensor:
        """Returns the logits of the tokens behind states."""
        raise NotImplementedError

    def generate(
        self,
        prompts: Any,
        max_new_tokens: int = 64,
        *,
        do_sample: bool = False,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        num_beams: int = 1,
        length_penalty: float = 1.0,
        early_stopping: bool | str = False,
        length_rule: str = "transformers",
        num_return_sequences: int = 1,
        repetition_penalty: float = 1.0,
        no_repeat_ngram_size: int | None = None,
        min_new_tokens: int | None = None,
        stop_token_ids: int | Sequence[int] | None = None,
        tokenizer: Any = None,
        seed: int | None = None,
    ) -> Any:
        """Continues texts: greedily, by sampling, or by beam search.

        Arguments mean what they mean in `transformers`, and give the same tokens. Runs as one
        compiled loop with a cache of keys and values; inside a `tf.function` it becomes part of
        that graph, so it can go into a SavedModel.

        With block-sparse attention, the cache holds what can still be read, and a step takes as
        long at any position. Positions and blocks are counted from each prompt's first token:
        padding, on whichever side, changes nothing.

        Args:
            prompts: Integer ids `(B, P)`, dense or ragged; or a dictionary with `input_ids` and
                `attention_mask` `(B, P)`, 0 for padding, which may be on either side, as a
                tokenizer gives it; or, with a tokenizer, one string or strings `(B,)`. Strings get
                `<s>` in front (`[CLS]` where the vocabulary has none; of Pegasus what its decoders
                read first) and nothing behind.
            max_new_tokens: The most tokens to add, M.
            do_sample: Whether to draw tokens at random instead of taking the most likely.
            temperature: Of sampling; below 1 the likely become likelier.
            top_k: Sample from this many of the most likely tokens only.
            top_p: Sample from the most likely tokens whose probabilities add up to this only.
            num_beams: Width of beam search; 1 for none.
            length_penalty: Of beam search: scores are divided by length to this power.
            early_stopping: Of beam search: `True` ends a prompt's search once `num_beams` beams
                have ended; `False` once the best open beam, judged at its present length, is behind
                them; `"never"` once no open beam can get better than they are.
            length_rule: Of beam search. `"transformers"` as above; `"google"` divides scores by
                ((5 + length) / 6) to the power of `length_penalty`, and always runs
                `max_new_tokens` steps, as Google's code for BigBird-Pegasus does.
            num_return_sequences: How many continuations of each prompt to return, N: so many are
                sampled, or the best of `num_beams` beams.
            repetition_penalty: Above 1, tokens of the prompt and the continuation so far become
                less likely: positive logits are divided by it, negative ones multiplied (in beam
                search log probabilities, which are all negative).
            no_repeat_ngram_size: No sequence of so many tokens comes twice in prompt and
                continuation; `None` or 0 for no such rule.
            min_new_tokens: How many tokens come before one of `stop_token_ids` may; `None` or 0
                for any number.
            stop_token_ids: Tokens that end a continuation; `None` for the config's `eos_token_id`,
                an empty list for none.
            tokenizer: A `Tokenizer`.
            seed: Of sampling; `None` draws another one each time.

        Returns:
            int32 `(B * N, M)`: the new tokens alone, with the token that ended a row, and
            `pad_token_id` behind it; the N of a prompt side by side, of beams the best first. For
            strings, their continuations: strings `(B * N,)`, or one string for one.

        Raises:
            TypeError: If the prompts are strings and there is no tokenizer.
            ValueError: If an argument is impossible, or prompt and new tokens together are more
                than `max_position_embeddings`.
            tf.errors.InvalidArgumentError: If an id is outside of the vocabulary, or a prompt has
                no token.
        """
        stops = self.stop_tokens(stop_token_ids)
        arguments: dict[str, Any] = {
            "max_new_tokens": max_new_tokens,
            "do_sample": do_sample,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "num_beams": num_beams,
            "length_penalty": length_penalty,
            "early_stopping": early_stopping,
            "length_rule": length_rule,
            "num_return_sequences": num_return_sequences,
            "repetition_penalty": repetition_penalty,
            "no_repeat_ngram_size": no_repeat_ngram_size,
            "min_new_tokens": min_new_tokens,
        }
        options = decoding_options(stop_token_ids=stops, **arguments)
        if tokenizer is not None:
            adopt_special_ids(self, tokenizer)
            if stop_token_ids is None:
                stops = stop_ids_of(stops, tokenizer)
                options["stop_token_ids"] = stops
        prompts = read_prompts(
            prompts, self.config, tokenizer, max_new_tokens, names=self.input_names
        )
        if do_sample:
            seed = draw_seed() if seed is None else ops.convert_to_tensor(seed, "int32")
        tokens = self._decode(prompts, seed if do_sample else None, **options)
        if tokenizer is None:
            return tokens
        text = to_text(tokens, tokenizer, stops)
        return text[0] if prompts.is_scalar and num_return_sequences == 1 else text

    def stop_tokens(self, stop_token_ids: int | Sequence[int] | None) -> tuple[int, ...]:
        """Returns the ids that end a continuation, for the argument that `generate` takes."""
        return read_stop_ids(self.config, stop_token_ids)

    def _decode(self, prompts: Prompts, seed: Tensor, **options: Any) -> Any:
        """Calls `_decode_in_graph`, compiled."""
        if self._compiled_decode is None:
            self._compiled_decode = compile_function(self._decode_in_graph, self)
        return self._compiled_decode(
            prompts.ids,
            prompts.mask,
            prompts.positions,
            seed,
            # Not read within: a graph would keep it when the config is replaced.
            pad_token_id=self.config.pad_token_id,
            **options,
        )

    def _decode_in_graph(
        self,
        ids: Tensor,
        mask: Tensor,
        positions: Tensor,
        seed: Tensor | None,
        *,
        max_new_tokens: int,
        num_return_sequences: int,
        num_beams: int = 1,
        **options: Any,
    ) -> Any:
        rows = num_beams if num_beams > 1 else num_return_sequences
        logits, cache, step = self._steps(ids, mask, positions, rows, max_new_tokens)
        return decode(
            step,
            logits,
            cache,
            prompts=ids,
            is_prompt=mask,
            seed=seed,
            max_new_tokens=max_new_tokens,
            num_beams=num_beams,
            num_return_sequences=num_return_sequences,
            **options,
        )

    def _steps(
        self, ids: Tensor, mask: Tensor, positions: Tensor, rows: int, room: int
    ) -> tuple[Tensor, Any, Callable]:
        """Reads prompts; returns the logits behind them, the cache, and the step of decoding.

        Args:
            ids, mask, positions: As of `Prompts`.
            rows: Rows of each prompt that decode.
            room: New tokens of each row.
        """
        hidden, cache = self._read(ids, positions, mask)
        cache = keras.tree.map_structure(
            lambda x: ops.pad(x, ((0, 0), (0, 0), (0, room), (0, 0))), cache
        )
        # Rows of a prompt share its mask, so it need not move when beams do.
        row_mask, next_position = repeat_rows((mask, positions[:, -1:] + 1), rows)
        length = ops.shape(ids)[1]

        def step(tokens, t, cache):
            is_used = ops.cast(ops.arange(room, dtype="int32") <= t, mask.dtype)
            is_used = ops.broadcast_to(is_used, (ops.shape(row_mask)[0], room))
            used_mask = ops.concatenate([row_mask, is_used], axis=1)
            hidden, cache = self._read(
                tokens[:, None], next_position + t, used_mask, cache, length + t
            )
            return self._predict(hidden[:, 0]), cache

        return self._predict(hidden[:, -1]), cache, step
