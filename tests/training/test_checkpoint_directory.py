"""Which folders are whole checkpoints, and which are kept."""

import json
from pathlib import Path

import pytest

from bigbird_tf.training.checkpoint_directory import RECORD, CheckpointDirectory


@pytest.fixture
def directory(tmp_path):
    directory = CheckpointDirectory(tmp_path / "runs", 2)
    directory.make()
    return directory


def write(directory, number, content="weights"):
    def files(folder):
        Path(folder, "variables").write_text(content * number)
        return {"steps": number}

    return directory.write(number, files)


def test_the_last_ones_are_kept(directory, tmp_path):
    assert directory.newest() is None
    folders = [write(directory, number) for number in (3, 20, 100)]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "step-00000020",
        "step-00000100",
    ]
    folder, record = directory.newest()
    assert (folder, record["steps"]) == (folders[-1], 100)
    assert record["files"]["variables"][0] == len("weights") * 100


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / RECORD).unlink(), f"was not finished .{RECORD} is missing"),
        (lambda folder: (folder / RECORD).write_text('{"files"'), f"{RECORD} is damaged"),
        (lambda folder: (folder / RECORD).write_text("[]"), f"{RECORD} is damaged"),
        (lambda folder: (folder / "variables").unlink(), "variables is missing"),
        (
            lambda folder: (folder / "variables").write_text("w"),
            "variables is damaged: expected 63",
        ),
        (lambda folder: (folder / "variables").write_text("x" * 63), "with checksum"),
    ],
)
def test_a_damaged_one_is_passed_over(directory, tmp_path, damage, message):
    before = write(directory, 5)
    write(directory, 9)
    damage(tmp_path / "runs" / "step-00000009")
    with pytest.warns(RuntimeWarning, match=message):
        assert directory.newest()[0] == before
    # One that is written then is the last, whatever is behind it.
    after = write(directory, 7)
    assert directory.newest()[0] == after
    assert not (tmp_path / "runs" / "step-00000009").exists()


def test_none_is_whole(directory, tmp_path):
    write(directory, 5)
    (tmp_path / "runs" / "step-00000005" / RECORD).unlink()
    with pytest.warns(RuntimeWarning) as warned:
        assert directory.newest() is None
    assert "training begins at the start" in str(warned[-1].message)


def test_a_write_that_fails_leaves_the_others(directory, tmp_path):
    before = write(directory, 5)

    def full(folder):
        (tmp_path / "runs" / "step-00000006" / "variables").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        directory.write(6, full)
    assert directory.newest()[0] == before
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["step-00000005"]


def test_one_of_the_same_number_is_replaced(directory):
    write(directory, 5)
    folder = write(directory, 5, content="others")
    assert directory.newest()[1]["files"]["variables"][0] == len("others") * 5
    assert json.loads(Path(folder, RECORD).read_text())["steps"] == 5
