"""Draws a pattern as the paper's figure does: what attends to what."""

import os
from pathlib import Path

import numpy as np

from bigbird_tf.attention.pattern.block_pattern import BlockPattern
from bigbird_tf.attention.pattern.pattern_report import KINDS, kinds_of_blocks

__all__ = ["draw_pattern"]

COLORS = ("#ffffff", "#4c72b0", "#55a868", "#dd8452")


def draw_pattern(pattern: BlockPattern, path: str | os.PathLike, head: int | None = None) -> Path:
    """Draws query blocks as rows and key blocks as columns (BigBird paper, figure 1).

    Heads differ in their random blocks only; of all heads together, a random block is the darker
    the more of them read it.

    Args:
        pattern: The pattern.
        path: The picture's file; its suffix decides on the format.
        head: A head, or `None` for all of them together.

    Returns:
        The path.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is no such head, or matplotlib knows no such format.
    """
    try:
        from matplotlib.colors import to_rgb
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch
    except ImportError as error:
        raise ImportError("Drawing needs matplotlib: pip install matplotlib") from error

    kinds = kinds_of_blocks(pattern, head)
    num_blocks = pattern.num_blocks
    figure = Figure(figsize=(6, 6.4), layout="constrained")
    axes = figure.add_subplot()
    image = np.array([to_rgb(color) for color in COLORS])[kinds]
    if head is None:
        counts = pattern.to_dense_mask().astype(bool).sum(axis=0)
        is_random = kinds == 1 + KINDS.index("random")
        share = counts / max(1, counts[is_random].max(initial=0))
        # The palest is still to be seen on white.
        strength = (0.2 + 0.8 * share[is_random])[:, np.newaxis]
        image[is_random] = 1 - strength * (1 - image[is_random])
    axes.imshow(image, aspect="equal")
    axes.set_xticks(np.arange(num_blocks + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(num_blocks + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#dddddd", linewidth=min(0.8, 16 / num_blocks))
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("key block")
    axes.set_ylabel("query block")
    heads = f"head {head}" if head is not None else f"all {pattern.num_heads} heads"
    axes.set_title(f"{num_blocks} blocks, {heads}{', causal' if pattern.is_causal else ''}")
    patches = [
        Patch(color=color, label=kind) for color, kind in zip(COLORS[1:], KINDS, strict=True)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(KINDS), frameon=False)
    path = Path(path)
    figure.savefig(path, dpi=150, bbox_inches="tight")
    return path
