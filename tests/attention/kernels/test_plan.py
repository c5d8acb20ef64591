"""How the work is divided, by device and compiler."""

import pytest

from bigbird_tf.attention.kernels import plan as plans
from bigbird_tf.attention.kernels.plan import Plan, Tiles, make_plan
from bigbird_tf.attention.pattern.slots import SlotLayout

LAYOUT = SlotLayout(1, 1, window_before=1, window_after=1, num_random=3)


def plan(device, compiled, num_rows=62, length=4096):
    shape = (4, 12, length, 64)
    return make_plan(shape, 4, LAYOUT, 64, num_rows, device=device, compiled=compiled)


def test_a_processor_s_graph_has_chunks_of_its_cache():
    made = plan("cpu", False)
    # A row gathers 8 blocks of 64 keys of 64 numbers of 4 bytes: 128 KiB.
    assert made.forward == Tiles(1, (0, 62))
    assert made.backward == Tiles(1, (0, 31, 62))
    assert (made.sums, made.serialize) == ("sorted", True)
    long = plan("cpu", False, num_rows=254, length=16384)
    assert long.forward.edges == (0, 63, 127, 190, 254)


def test_what_just_fits_the_cache_is_one_piece():
    """64 rows of 128 KiB are 8 MiB, and the backward pass has half of that."""
    made = plan("cpu", False, num_rows=64)
    assert made.forward == Tiles(1, (0, 64))
    assert made.backward == Tiles(1, (0, 32, 64))
    assert plan("cpu", False, num_rows=65).forward == Tiles(1, (0, 32, 65))
    made = plan("cpu", False, num_rows=32)
    assert made.forward == Tiles(2, (0, 32))
    assert made.backward == Tiles(1, (0, 32))
    # Of twelve heads, 6 * 10 rows fit, 12 * 10 do not, and 6 is the most that divides them.
    assert plan("cpu", False, num_rows=10).forward.heads == 6
    # A row that is larger than the cache is a chunk of its own.
    wide = make_plan((1, 1, 4096, 64 * 65), 4, LAYOUT, 64, 3, device="cpu", compiled=False)
    assert wide.forward == wide.backward == Tiles(1, (0, 1, 2, 3))


def test_no_more_chunks_than_rows():
    assert plan("gpu", True, num_rows=2).backward.chunks(2) == [(0, 1), (1, 2)]
    assert plan("gpu", True, num_rows=1).forward.chunks(1) == [(0, 1)]


def test_sums_are_those_that_the_compiler_has():
    assert plan("cpu", True).sums == "slots"
    assert plan("tpu", True).sums == "product"
    assert plan("gpu", False).sums == "sorted"


@pytest.mark.parametrize("has_products", [True, False])
@pytest.mark.parametrize("itemsize", [2, 4, 8])
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("device", ["cpu", "gpu", "tpu"])
def test_half_precision_is_float32_where_a_processor_lacks_products_of_it(
    device, compiled, itemsize, has_products, monkeypatch
):
    monkeypatch.setattr(plans, "has_half_precision_products", lambda: has_products)
    shape = (4, 12, 4096, 64)
    made = make_plan(shape, itemsize, LAYOUT, 64, 62, device=device, compiled=compiled)
    is_lacking = device == "cpu" and not compiled and itemsize == 2 and not has_products
    assert made.in_float32 == is_lacking
    if is_lacking:
        # What is in the cache are numbers of 4 bytes.
        assert made.backward == plan("cpu", False).backward


def test_a_tpu_s_chunks_stay_in_its_memory():
    made = plan("tpu", True)
    assert (made.sums, made.compute_once) == ("product", True)
    # Here, too, a row gathers 128 KiB.
    assert made.forward == Tiles(2, (0, 62))
    assert made.backward == Tiles(1, (0, 62))
    assert len(plan("tpu", True, num_rows=254, length=16384).backward.chunks(254)) == 4
    assert not plan("cpu", True).compute_once
    assert not plan("gpu", True).compute_once


def test_a_gpu_launches_few_kernels_however_long_the_sequence():
    for num_rows, length in ((62, 4096), (1022, 65536)):
        made = plan("gpu", True, num_rows, length)
        assert made.forward.heads == made.backward.heads == 0
        assert len(made.forward.chunks(num_rows)) == 2
        assert len(made.backward.chunks(num_rows)) == 3


def test_unknown_lengths_have_one_chunk():
    for device in ("cpu", "gpu", "tpu"):
        made = plan(device, True, num_rows=None, length=None)
        assert made.forward.chunks(7) == made.backward.chunks(7) == [(0, 7)]


def test_unknown_way_to_sum():
    with pytest.raises(ValueError, match=r"`sums` must be one of.*sums='scatter'"):
        Plan(sums="scatter")
