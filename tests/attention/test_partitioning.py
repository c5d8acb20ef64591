"""Under `keras.distribution` on JAX, devices share out sequences and heads, and gather neither."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks import hlo_text
from tests.conftest import answer_of

BATCH, LENGTH, HEAD_SIZE, LAYERS = 16, 208, 6, 2


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    """What `partition_process` says."""
    return answer_of(
        "tests.partition_process", {"folder": str(tmp_path_factory.mktemp("programs"))}
    )


def program(answer, name) -> str:
    (path,) = answer[name]["programs"]
    return Path(path).read_text()


def turns(text: str) -> list[int]:
    """How often the loops of a program turn."""
    by_name, _ = hlo_text.computations(text)
    return [
        hlo_text.turns(instruction, by_name)
        for instructions in by_name.values()
        for instruction in instructions
        if instruction.opcode == "while"
    ]


@pytest.mark.jax
class TestDevices:
    def test_losses_are_those_of_one_device(self, answer):
        expected = answer["one"]["losses"]
        assert abs(expected[0] - expected[1]) > 1e-3  # It has learnt something in between.
        for name in ("data", "both"):
            np.testing.assert_allclose(answer[name]["losses"], expected, rtol=0, atol=1e-5)

    def test_heads_that_do_not_divide_stay_together(self, answer):
        expected = answer["odd heads alone"]["losses"]
        np.testing.assert_allclose(answer["odd heads"]["losses"], expected, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("name", ["data", "both"])
    def test_queries_keys_and_values_are_not_gathered(self, answer, name):
        gathered = []
        by_name, _ = hlo_text.computations(program(answer, name))
        for instructions in by_name.values():
            gathered += [x for x in instructions if x.opcode.startswith("all-gather")]
        for instruction in gathered:
            # Some weights are; a single head of one sequence is more than any of them.
            (sizes,) = re.findall(r"\[([\d,]+)\]", instruction.type)
            assert math.prod(map(int, sizes.split(","))) < LENGTH * HEAD_SIZE, instruction

    def test_each_device_loops_over_its_share(self, answer):
        # A turn takes all heads of a sequence, in each layer, forward and backward.
        found = {name: turns(program(answer, name)) for name in ("one", "data", "both")}
        assert found == {
            "one": [BATCH] * 2 * LAYERS,
            "data": [BATCH // 8] * 2 * LAYERS,
            "both": [BATCH // 4] * 2 * LAYERS,
        }
