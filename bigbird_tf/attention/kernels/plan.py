"""`Plan`: how a kernel divides its work. All that depends on devices and compilers is here.

A kernel says what is computed; its plan says in which pieces, and by which of several equal ways.
Shapes use B for batch, N for heads, b for block size, S for slots of a row, H for head size.
"""

import dataclasses
import itertools

from bigbird_tf.attention.pattern.slots import SlotLayout
from bigbird_tf.nn.backend import (
    device_type,
    fused_kernels,
    has_half_precision_products,
    is_compiled_by_xla,
)

__all__ = ["Plan", "Tiles", "make_plan"]

# What one chunk gathers of the keys on a CPU, in bytes. Measured (benchmarks/RESULTS.md): larger
# chunks leave the cache, and smaller ones pay more for the loop than they gain. The backward pass,
# which holds more beside it, takes half of that.
CACHE_BYTES = 8 * 2**20
# On a TPU so much, and what belongs to it, stays in the chip's memory, forward and backward.
# Smaller chunks pay more for the start of operations.
TPU_BYTES = (16 * 2**20, 8 * 2**20)
# A GPU would be bound by launches: all sequences and heads at once, in few chunks of rows, so that
# what is gathered stays below a quarter of full attention's scores.
GPU_CHUNKS = (2, 3)


@dataclasses.dataclass(frozen=True)
class Tiles:
    """The pieces of one pass.

    Attributes:
        heads: Heads of a turn of the loop, a divisor of N; or 0 for all heads of all sequences in
            one turn, without a loop.
        edges: Where chunks of rows begin and end; empty for one chunk of all rows.
    """

    heads: int = 1
    edges: tuple[int, ...] = ()

    def chunks(self, num_rows: int) -> list[tuple]:
        """Returns the first row and the end of each chunk."""
        return list(itertools.pairwise(self.edges)) or [(0, num_rows)]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a kernel divides its work.

    Attributes:
        forward, backward: The pieces of each pass.
        sums: How what flows back to key blocks is added up, see `key_sums`: `"sorted"` (in the
            order of their ids, a kernel of TensorFlow that XLA does not have), `"slots"` (by
            what a slot is for) or `"product"` (as products with 0/1 matrices).
        serialize: Whether products run one after the other, where each takes all processors.
        compute_once: Whether the backward pass keeps weights until all products have read them,
            where XLA would compute them again for each; and transposes no weights.
        in_float32: Whether half precision becomes float32 before products, and half again after
            them.
        fused: Whether the kernels of `fused` compute; then nothing else of the plan counts.
    """

    forward: Tiles = Tiles()
    backward: Tiles = Tiles()
    sums: str = "slots"
    serialize: bool = False
    compute_once: bool = False
    in_float32: bool = False
    fused: bool = False

    def __post_init__(self) -> None:
        if self.sums not in ("sorted", "slots", "product"):
            raise ValueError(
                f"`sums` must be one of 'sorted', 'slots', 'product'. Received: sums={self.sums!r}"
            )


def make_plan(
    shape: tuple[int | None, int, int | None, int],
    itemsize: int,
    layout: SlotLayout,
    block_size: int,
    num_rows: int | None,
    *,
    device: str | None = None,
    compiled: bool | None = None,
    fusable: bool = False,
) -> Plan:
    """Decides on the pieces.

    Args:
        shape: `(B, N, T, H)`; `None` for what is unknown.
        itemsize: Bytes of a number.
        layout: What each slot of a row is for.
        block_size: b.
        num_rows: Rows of the pattern; `None` if that is unknown.
        device: `"cpu"`, `"gpu"` or `"tpu"`; `None` for what the backend says.
        compiled: Whether XLA compiles; `None` for what the backend says.
        fusable: Whether fused kernels take the pattern, the sizes and the dtype.
    """
    _, num_heads, _, head_size = shape
    device = device or device_type()
    compiled = is_compiled_by_xla() if compiled is None else compiled
    on_processor = device == "cpu" and not compiled
    in_float32 = itemsize == 2 and on_processor and not has_half_precision_products()
    row_bytes = layout.num_slots * block_size * head_size * (4 if in_float32 else itemsize)

    def in_cache(size):
        if num_rows is None:
            return Tiles()
        rows_of_chunk = max(1, size // row_bytes)
        divisors = [g for g in range(1, num_heads + 1) if num_heads % g == 0]
        heads = max(g for g in divisors if g == 1 or g * num_rows <= rows_of_chunk)
        return Tiles(heads, _edges(num_rows, -(-num_rows // rows_of_chunk)))

    def few_launches(num_chunks):
        return Tiles(0, () if num_rows is None else _edges(num_rows, min(num_chunks, num_rows)))

    if device == "gpu" and fusable and fused_kernels():
        return Plan(fused=True)
    if device == "gpu" and compiled:
        forward, backward = (few_launches(count) for count in GPU_CHUNKS)
        return Plan(forward, backward, "slots")
    if device == "tpu" and compiled:
        forward, backward = (in_cache(size) for size in TPU_BYTES)
        return Plan(forward, backward, "product", compute_once=True)
    forward, backward = in_cache(CACHE_BYTES), in_cache(CACHE_BYTES // 2)
    if compiled:
        return Plan(forward, backward, "slots")
    return Plan(forward, backward, "sorted", serialize=True, in_float32=in_float32)


def _edges(num_rows: int, num_chunks: int) -> tuple[int, ...]:
    """Chunks of a head are as equal as they can be."""
    return tuple(num_rows * i // num_chunks for i in range(num_chunks + 1))
