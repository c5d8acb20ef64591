"""`examples.train.killed_job` in small: killed once, the curve has no seam."""

import json
import math

import pytest
from rich.console import Console

from examples.train import killed_job

TINY = "--width 16 --layers 1 --block-size 16 --batch-size 4"


@pytest.mark.slow
def test_weights_are_those_of_the_run_in_peace(tmp_path):
    results = killed_job.run(
        tmp_path / "job",
        Console(quiet=True),
        num_bytes=300_000,
        length=96,
        vocab_size=700,
        steps=24,
        steps_per_epoch=4,
        kills=1,
        seconds=0.2,
        options=TINY.split(),
    )
    assert results["data"]["bytes"] >= 300_000
    ends = results["ends"]
    assert [end["status"] for end in ends["in peace"]] == [0]
    assert [end["status"] for end in ends["killed"]] == [-9, 0]
    for losses in results["losses"].values():
        assert len(losses) == 6
        assert all(map(math.isfinite, losses))
        assert losses[-1] < losses[0]
    assert results["largest difference of weights"] == 0
    assert results["largest difference of losses"] == 0
    assert json.loads((tmp_path / "job/results.json").read_text()) == results
    assert (tmp_path / "job/killed_job.png").stat().st_size > 10_000


def test_texts_of_this_machine():
    texts = [*killed_job.texts_of_this_machine(50_000)]
    assert 50_000 <= sum(len(text.encode()) for text in texts) < 300_000
    assert texts == [*killed_job.texts_of_this_machine(50_000)]
