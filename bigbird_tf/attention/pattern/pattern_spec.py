"""`PatternSpec`: all that decides a pattern, in one validated record. Knows no tensors."""

import dataclasses
from typing import Any, Literal, get_args

from bigbird_tf.config_checks import (
    check_choice,
    check_flag,
    check_global_blocks,
    check_integer,
    check_window,
)

__all__ = [
    "ATTENTION_TYPES",
    "CAUSAL_ATTENTION_TYPES",
    "INFERENCE_RANDOM_BLOCKS",
    "RANDOM_PLANS",
    "AttentionType",
    "CausalAttentionType",
    "InferenceRandomBlocks",
    "PatternSpec",
    "RandomPlan",
]

AttentionType = Literal["block_sparse", "original_full", "simulated_sparse"]
CausalAttentionType = Literal["original_full", "block_sparse"]
RandomPlan = Literal["google", "transformers"]
InferenceRandomBlocks = Literal["seeded", "first_block"]
ATTENTION_TYPES = get_args(AttentionType)
CAUSAL_ATTENTION_TYPES = get_args(CausalAttentionType)
RANDOM_PLANS = get_args(RandomPlan)
INFERENCE_RANDOM_BLOCKS = get_args(InferenceRandomBlocks)
# A causal pattern has nothing after a query, and what a row reads must not depend on the length, on
# training, or on the rules of originals that have no such pattern.
_OF_CAUSAL = {
    "num_global_end": 0,
    "window_after": 0,
    "random_plan": "google",
    "inference_random_blocks": "seeded",
    "full_attention_up_to": None,
    "relative_pos_max_distance": 0,
    "num_side_blocks": 0,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PatternSpec:
    """What decides which key blocks each query block reads, at every length (paper, section 2).

    Attributes:
        num_heads: Attention heads, N; each has random blocks of its own.
        block_size: Tokens in a block, b.
        num_global_start: Global blocks at the start of the sequence.
        num_global_end: Global blocks at its end.
        window_before: Blocks of the sliding window before a query block.
        window_after: Blocks of the sliding window after it.
        num_random_blocks: Random key blocks of each query block, r; 0 for none.
        random_plan: Whose rule draws them: `"google"` or `"transformers"`.
        inference_random_blocks: `"seeded"`: the same random blocks in training and inference;
            `"first_block"`: outside of training all of them are block 0, as in `transformers`.
        full_attention_up_to: Sequences up to this length (in tokens) use full attention; `None` for
            the rule of `transformers`, carried over to other patterns.
        max_length: The longest sequence in tokens: that for which `"transformers"` draws, and the
            longest of those whose length is unknown at tracing.
        seed: Seed of the random blocks: the layer's index.
        is_causal: Whether no query reads what comes after it. The global blocks at the start are
            read by those behind them, but read no more than others do; the window and the random
            blocks lie before the query. `num_global_end` and `window_after` become 0. What a block
            reads depends on its number alone, not on the length: `random_plan`,
            `inference_random_blocks` and `full_attention_up_to` have no effect, and there are no
            relative positions.
        relative_pos_max_distance: Where positions are relative, the distance up to which they are
            told apart, in tokens; else 0. What else is read must be farther than that, so the
            window must reach as far, and its blocks come before global ones of the sequence.
        num_side_blocks: Where positions are relative, the blocks at the start that are tokens
            beside the sequence; they are among `num_global_start`.

    Raises:
        ValueError: If a value is impossible. The message names it.
    """

    num_heads: int
    block_size: int = 64
    num_global_start: int = 1
    num_global_end: int = 1
    window_before: int = 1
    window_after: int = 1
    num_random_blocks: int = 3
    random_plan: RandomPlan = "google"
    inference_random_blocks: InferenceRandomBlocks = "seeded"
    full_attention_up_to: int | None = None
    max_length: int = 4096
    seed: int = 0
    is_causal: bool = False
    relative_pos_max_distance: int = 0
    num_side_blocks: int = 0

    def __post_init__(self) -> None:
        positive = ("num_heads", "block_size", "max_length")
        for field in dataclasses.fields(self):
            name, value = field.name, getattr(self, field.name)
            if name in ("random_plan", "inference_random_blocks"):
                check_choice(name, value, get_args(field.type))
            elif name == "is_causal":
                check_flag(name, value)
            elif value is not None or name != "full_attention_up_to":
                # NumPy's integers become Python's.
                value = check_integer(name, value, 1 if name in positive else 0)
                object.__setattr__(self, name, value)
        for name, value in _OF_CAUSAL.items() if self.is_causal else ():
            object.__setattr__(self, name, value)
        if self.relative_pos_max_distance:
            self._check_relative()

    def _check_relative(self) -> None:
        distance, reach = self.relative_pos_max_distance, min(self.window_before, self.window_after)
        if self.num_side_blocks > self.num_global_start:
            raise ValueError(
                "`num_side_blocks` are among the global blocks at the start. Received: "
                f"num_side_blocks={self.num_side_blocks}, {self.num_global_start} global ones there"
            )
        if self.inference_random_blocks == "first_block" and self.num_random_blocks:
            raise ValueError(
                "inference_random_blocks='first_block' is what `transformers` does, which has no "
                "relative positions. Received: relative_pos_max_distance="
                f"{distance}. Pass inference_random_blocks='seeded', or num_random_blocks=0"
            )
        reads_others = self.num_global_blocks - self.num_side_blocks + self.num_random_blocks
        if reads_others and distance > reach * self.block_size:
            raise ValueError(
                "`relative_pos_max_distance` must be at most what the window reaches on either "
                f"side, {reach} blocks of {self.block_size} tokens here: distances are told apart "
                f"in the window. Received: relative_pos_max_distance={distance}. Widen "
                "`num_window_blocks`"
            )

    @classmethod
    def from_arguments(
        cls,
        *,
        num_window_blocks: int | tuple[int, int] = 3,
        num_global_blocks: int | tuple[int, int] = 2,
        **fields: Any,
    ) -> "PatternSpec":
        """Makes a spec of the arguments that layers and configs have for window and global blocks.

        Args:
            num_window_blocks: Width of the sliding window in blocks, odd: a block, and as many
                before as after it; or a pair, the blocks before and after it.
            num_global_blocks: Global blocks, half of them (rounded up) at the start; or a pair, the
                blocks at the start and at the end.
            **fields: The other attributes.

        Raises:
            ValueError: If a value is impossible. The message names it.
        """
        window = check_window("num_window_blocks", num_window_blocks)
        if isinstance(window, int):
            window = window // 2, window // 2
        num_global = check_global_blocks("num_global_blocks", num_global_blocks)
        if isinstance(num_global, int):
            num_global = (num_global + 1) // 2, num_global // 2
        return cls(
            num_global_start=num_global[0],
            num_global_end=num_global[1],
            window_before=window[0],
            window_after=window[1],
            **fields,
        )

    @property
    def arguments(self) -> dict[str, Any]:
        """What `from_arguments` takes to make this spec, for the configs of layers.

        But for `is_causal`: of a layer, that is its class or an argument of its call.
        """
        fields = dataclasses.asdict(self)
        del fields["is_causal"]
        window = fields.pop("window_before"), fields.pop("window_after")
        num_global = fields.pop("num_global_start"), fields.pop("num_global_end")
        return {
            **fields,
            "num_window_blocks": check_window("num_window_blocks", window),
            "num_global_blocks": check_global_blocks("num_global_blocks", num_global),
        }

    @property
    def num_global_blocks(self) -> int:
        """Global blocks, at the start and at the end together."""
        return self.num_global_start + self.num_global_end

    @property
    def num_window_blocks(self) -> int:
        """Blocks of the window, the query's own among them."""
        return self.window_before + 1 + self.window_after

    @property
    def side_blocks(self) -> int | None:
        """As of `SlotLayout`: `num_side_blocks` where positions are relative."""
        return self.num_side_blocks if self.relative_pos_max_distance else None

    @property
    def is_published(self) -> bool:
        """Whether window and global blocks are those of the published models.

        For these, random blocks are drawn exactly as the originals draw them.
        """
        num_global = self.num_global_start, self.num_global_end
        return (self.window_before, self.window_after, *num_global) == (1, 1, 1, 1)

    @property
    def longest_full_attention(self) -> int:
        """The length in tokens up to which full attention takes the place of the sparse one.

        That is what was asked for, or the rule of `transformers`, carried over to patterns other
        than theirs; at least the length at which every block is global. Up to the length of a
        causal pattern, every block reads all that is before it: there, full attention is the same.
        """
        if self.is_causal:
            num_listed = self.num_global_start + self.num_window_blocks + self.num_random_blocks
            return num_listed * self.block_size
        least = self.num_global_blocks * self.block_size
        if self.full_attention_up_to is not None:
            return max(self.full_attention_up_to, least)
        return least + (self.num_window_blocks + 2 * self.num_random_blocks) * self.block_size

    @property
    def random_pool(self) -> range:
        """The blocks that all rows of a causal pattern draw their random blocks from.

        They are the first `2 * num_random_blocks + 4` behind the global ones, about as many as long
        sequences of the originals draw from. As there are no others, what was read once need not be
        kept for ever: memory in decoding is bounded.
        """
        count = 2 * self.num_random_blocks + 4 if self.num_random_blocks else 0
        return range(self.num_global_start, self.num_global_start + count)

    def num_blocks(self, length: Any) -> Any:
        """Returns the blocks of a sequence of some tokens, an integer or a tensor."""
        return -(-length // self.block_size)

    def num_global_at(self, num_blocks: int) -> tuple[int, int]:
        """Returns how many of `num_blocks` blocks are global at the start and at the end."""
        num_start = min(self.num_global_start, num_blocks)
        return num_start, min(self.num_global_end, num_blocks - num_start)
