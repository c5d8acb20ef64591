"""What a command has done so far: kept after an interrupt, gone when all is written."""

import json
from pathlib import Path

import pytest

from bigbird_tf.cli.unfinished import kept_until_done


def partial_of(file):
    return file.with_name(f"{file.name}.partial")


def test_it_goes_at_the_end(tmp_path):
    file = tmp_path / "summaries.jsonl"
    with kept_until_done(file) as keep:
        keep({"summary": "ä"})
        keep({"summary": "b"})
        lines = partial_of(file).read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["summary"] for line in lines] == ["ä", "b"]
    assert list(tmp_path.iterdir()) == []


def interrupted_after(file, text, error):
    def run():
        with kept_until_done(file) as keep:
            keep({"summary": text})
            raise error

    with pytest.raises(error):
        run()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_it_stays_after_an_interrupt(tmp_path, capsys, error):
    file = tmp_path / "summaries.jsonl"
    interrupted_after(file, "a", error)
    assert partial_of(file).read_text(encoding="utf-8") == '{"summary": "a"}\n'
    assert str(partial_of(file)) in capsys.readouterr().err
    # The next run leaves it there until it has something itself.
    with pytest.raises(error), kept_until_done(file):
        raise error
    assert partial_of(file).read_text(encoding="utf-8") == '{"summary": "a"}\n'
    interrupted_after(file, "b", error)
    assert partial_of(file).read_text(encoding="utf-8") == '{"summary": "b"}\n'


def test_nothing_done_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="early"), kept_until_done(tmp_path / "file"):
        raise ValueError("early")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_refused_at_once(tmp_path):
    with pytest.raises(FileNotFoundError), kept_until_done(tmp_path / "none" / "file"):
        raise AssertionError("begun")


@pytest.mark.parametrize("file", [None, "/dev/stdout"])
def test_nowhere_to_keep_it(file):
    with kept_until_done(file and Path(file)) as keep:
        keep({"summary": "a"})
