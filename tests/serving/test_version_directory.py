import concurrent.futures
import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bigbird_tf.serving import version_directory
from bigbird_tf.serving.version_directory import next_version, write_version

ROOT = Path(__file__).parents[2]


def write_file(folder):
    (folder / "saved_model.pb").write_bytes(b"model")


def test_versions_count_up(tmp_path):
    path = tmp_path / "models/qa"
    assert [write_version(path, write_file).name for _ in range(3)] == ["1", "2", "3"]
    assert sorted(entry.name for entry in path.iterdir()) == ["1", "2", "3"]


def test_next_is_above_the_highest(tmp_path):
    for name in ("2", "11", "x12", "13.tmp", "٩٩", "²"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == 12
    assert next_version(tmp_path / "nothing") == 1


def test_servers_may_read_it(tmp_path):
    assert write_version(tmp_path, write_file).stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_failure(tmp_path, error):
    write_version(tmp_path, write_file)

    def fail(folder):
        write_file(folder)
        raise error

    with pytest.raises(type(error)):
        write_version(tmp_path, fail)
    assert [entry.name for entry in tmp_path.iterdir()] == ["1"]


def test_an_interrupt_as_soon_as_the_folder_is_there(tmp_path, monkeypatch):
    mkdir = os.mkdir

    def interrupted(path, *arguments, **options):
        mkdir(path, *arguments, **options)
        if ".export-" in str(path):
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "mkdir", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_version(tmp_path, write_file)
    assert list(tmp_path.iterdir()) == []


def test_writers_at_the_same_time(tmp_path):
    def write(number):
        def slowly(folder):
            time.sleep(0.01)
            (folder / "number").write_text(str(number))

        return write_version(tmp_path, slowly)

    with concurrent.futures.ThreadPoolExecutor(7) as pool:
        folders = list(pool.map(write, range(13)))
    assert sorted(int(folder.name) for folder in folders) == list(range(1, 14))
    assert sorted(int((f / "number").read_text()) for f in folders) == list(range(13))


@pytest.mark.parametrize("others", [1, 3])
def test_a_number_that_another_writer_takes_in_between(tmp_path, monkeypatch, others):
    """It looks for a number, and before it renames, others write theirs: forced, several times."""
    taken = []

    def next_version_too_early(path):
        number = next_version(path)
        if len(taken) < others:
            taken.append(number)
            (path / str(number)).mkdir()
            (path / str(number) / "saved_model.pb").write_bytes(b"another")
        return number

    monkeypatch.setattr(version_directory, "next_version", next_version_too_early)
    version = write_version(tmp_path, write_file)
    assert taken == list(range(1, others + 1))
    assert version == tmp_path / str(others + 1)
    assert (version / "saved_model.pb").read_bytes() == b"model"
    for number in taken:
        assert (tmp_path / str(number) / "saved_model.pb").read_bytes() == b"another"
    assert len(list(tmp_path.iterdir())) == others + 1


def test_versions_with_two_digits(tmp_path):
    """After 9 comes 10, and after 10 not 10 again."""
    (tmp_path / "9").mkdir()
    assert [write_version(tmp_path, write_file).name for _ in range(2)] == ["10", "11"]


def test_other_errors_of_the_rename_are_raised(tmp_path, monkeypatch):
    def rename(self, target):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="Input/output error"):
        write_version(tmp_path, write_file)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "qa").write_text("")
    with pytest.raises(NotADirectoryError, match=r"`path` must be a folder.*qa"):
        write_version(tmp_path / "qa", write_file)
    with pytest.raises(NotADirectoryError, match="`path` must be a folder"):
        write_version(tmp_path / "qa/below", write_file)


def test_a_folder_that_cannot_be_written_to(tmp_path):
    """Files of the kernel refuse even root, who may write wherever permissions forbid it."""
    path = Path("/proc/self/nothing") if os.geteuid() == 0 else tmp_path
    if os.geteuid():
        tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="`path` must be a folder that can be written to"):
        write_version(path, write_file)


def test_a_killed_process_leaves_no_version(tmp_path):
    script = (
        "import os, signal, sys\n"
        "from bigbird_tf.serving.version_directory import write_version\n"
        "def write(folder):\n"
        "    (folder / 'saved_model.pb').write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_version(sys.argv[1], write)\n"
    )
    run = subprocess.run([sys.executable, "-c", script, tmp_path], cwd=ROOT, capture_output=True)
    assert run.returncode == -9
    assert [entry.name[:8] for entry in tmp_path.iterdir()] == [".export-"]
    assert write_version(tmp_path, write_file).name == "1"
