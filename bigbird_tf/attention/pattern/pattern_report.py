"""The numbers behind a pattern: what a query reads, how far tokens are apart, what it costs.

NumPy only. Shapes use N for heads, n for blocks, b for block size, T = n * b for length, H for head
size.
"""

import dataclasses

import numpy as np

from bigbird_tf.attention.pattern.block_pattern import BlockPattern

__all__ = [
    "KINDS",
    "PatternReport",
    "count_read_blocks",
    "kinds_of_blocks",
    "path_lengths",
    "report_pattern",
]

# In the order of their codes in `kinds_of_blocks`; 0 is "not read".
KINDS = ("global", "window", "random")


@dataclasses.dataclass(frozen=True)
class PatternReport:
    """What `report_pattern` finds.

    Attributes:
        num_tokens: T.
        key_blocks: The fewest, the mean and the most different key blocks that a query block which
            is not global reads.
        share_of_full: Share of the full attention matrix that is computed, repeats included.
        path_lengths: By what is there besides the window (`"window"`, `"window + random"`,
            `"window + global"`, `"all"`): the mean and the longest of the shortest paths from one
            token to another, in layers; infinite if some cannot be reached.
        flops, full_flops: Floating-point operations of one layer's two products, sparse and full:
            two for each multiplication with addition.
        score_bytes, full_score_bytes: Bytes of one layer's scores in float32.
    """

    num_tokens: int
    key_blocks: tuple[int, float, int]
    share_of_full: float
    path_lengths: dict[str, tuple[float, float]]
    flops: int
    full_flops: int
    score_bytes: int
    full_score_bytes: int


def kinds_of_blocks(
    pattern: BlockPattern, head: int | None = None, *, with_global: bool = True
) -> np.ndarray:
    """Returns for each query and key block how the one comes to read the other.

    Args:
        pattern: The pattern.
        head: A head, or `None` for all of them together.
        with_global: Whether global blocks are marked; without them one sees what the window alone
            would read there.

    Returns:
        int8 array `(n, n)`: 0 where a key block is not read, 1 for global, 2 for the window, 3 for
        random blocks; the smallest of those that apply.

    Raises:
        ValueError: If there is no such head.
    """
    if head is not None and not 0 <= head < pattern.num_heads:
        raise ValueError(
            f"`head` must be from 0 to {pattern.num_heads - 1}, or None. Received: head={head}"
        )
    n, left, right = pattern.num_blocks, pattern.num_left, pattern.num_right
    kinds = np.zeros((n, n), np.int8)
    heads = slice(None) if head is None else slice(head, head + 1)
    random_blocks, layout = pattern.random_blocks[heads], pattern.slots.layout
    is_read = pattern.is_read[:, layout.groups["random"]]
    for row in range(pattern.num_rows):
        kinds[layout.row_offset + row, random_blocks[:, row, is_read[row]].ravel()] = 3
    distance = np.arange(n) - np.arange(n)[:, None]
    kinds[(distance >= -layout.window_before) & (distance <= layout.window_after)] = 2
    for ends in (slice(0, left), slice(n - right, n)) if with_global else ():
        if layout.is_causal:
            kinds[:, ends][distance[:, ends] <= 0] = 1
        else:
            kinds[ends] = kinds[:, ends] = 1
    return kinds


def path_lengths(reads: np.ndarray, *, is_causal: bool = False) -> tuple[float, float]:
    """Returns the mean and the longest of the shortest paths between all pairs of different blocks.

    Args:
        reads: bool `(n, n)`, whether a block reads another one. A path goes from a block to one
            that it reads, and each step of it is a layer.
        is_causal: Whether no block reads a later one: then paths to those do not count.

    Returns:
        Both infinite if some block cannot be reached from another. `(0, 0)` for a single block.
    """
    n = len(reads)
    num_pairs = n * (n - 1) // 2 if is_causal else n * (n - 1)
    if n == 1:
        return 0.0, 0.0
    step = reads | np.eye(n, dtype=bool)
    columns = np.nonzero(step)[1]
    row_starts = np.concatenate([[0], np.cumsum(step.sum(axis=1))[:-1]])
    # What each block reaches, a bit for each other one: a row is what its neighbours reach.
    reached = np.packbits(np.eye(n, dtype=bool), axis=1)
    count, total, length = n, 0, 0
    while True:
        reached = np.bitwise_or.reduceat(reached[columns], row_starts, axis=0)
        count, before = int(np.unpackbits(reached, axis=1).sum()), count
        if count == before:
            break
        length += 1
        total += length * (count - before)
    if count < num_pairs + n:
        return float("inf"), float("inf")
    return total / num_pairs, float(length)


def count_read_blocks(pattern: BlockPattern) -> int:
    """Returns how many blocks of scores a head computes; rows list some key blocks repeatedly.

    Args:
        pattern: The pattern.
    """
    num_global = pattern.slots.layout.row_offset + pattern.num_right
    return int(pattern.is_read.sum()) + num_global * pattern.num_blocks


def report_pattern(
    pattern: BlockPattern, block_size: int, head_size: int, head: int | None = None
) -> PatternReport:
    """Measures a pattern against full attention (BigBird paper, section 2 and 3.1).

    Distances are between tokens of different blocks; tokens of one block are one step apart. Of a
    causal pattern, they are from a token to earlier ones.

    Args:
        pattern: The pattern.
        block_size: b.
        head_size: H, for the cost.
        head: A head for what blocks read and for paths; `None` for all heads together, since each
            layer mixes them. The cost is that of all heads.
    """
    kinds = kinds_of_blocks(pattern, head)
    n, num_heads = pattern.num_blocks, pattern.num_heads
    offset, is_causal = pattern.slots.layout.row_offset, pattern.is_causal
    read = (kinds > 0).sum(axis=1)[offset : n - pattern.num_right]
    read = read if len(read) else np.array([n])
    computed = count_read_blocks(pattern)
    local = kinds_of_blocks(pattern, head, with_global=False)
    reads = {
        "window": local == 2,
        "window + random": local > 0,
        "window + global": (local == 2) | (kinds == 1),
        "all": kinds > 0,
    }
    paths = {name: path_lengths(read, is_causal=is_causal) for name, read in reads.items()}
    entries, full_entries = computed * block_size**2, (n * block_size) ** 2
    return PatternReport(
        num_tokens=n * block_size,
        key_blocks=(int(read.min()), float(read.mean()), int(read.max())),
        share_of_full=computed / n**2,
        path_lengths=paths,
        flops=4 * num_heads * entries * head_size,
        full_flops=4 * num_heads * full_entries * head_size,
        score_bytes=4 * num_heads * entries,
        full_score_bytes=4 * num_heads * full_entries,
    )
