"""A directory of checkpoints that two hosts use, played by two threads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bigbird_tf.training import backend
from bigbird_tf.training.checkpoint_directory import CheckpointDirectory


class TwoHosts:
    """Runs a function on two hosts, which wait for each other where they gather values."""

    def __init__(self, monkeypatch):
        self._barrier = threading.Barrier(2, timeout=60)
        self._local = threading.local()
        self._values = [0, 0]
        monkeypatch.setattr(backend, "host", lambda: (getattr(self._local, "number", 0), 2))
        monkeypatch.setattr(backend, "gather", self._gather)

    def _gather(self, value):
        self._values[self._local.number] = value
        self._barrier.wait()
        found = list(self._values)
        self._barrier.wait()
        return found

    def run(self, function):
        """Returns what the function of a host's number returns, or raises, on each."""

        def on_host(number):
            self._local.number = number
            try:
                return function(number)
            except OSError as error:
                return error

        with ThreadPoolExecutor(2) as threads:
            return list(threads.map(on_host, range(2)))


@pytest.fixture
def hosts(monkeypatch):
    return TwoHosts(monkeypatch)


def write(directory, number, host, *, fails=None):
    def files(folder):
        Path(folder, f"variables.{host}").write_text("weights" * (number + host))
        if host == fails:
            raise OSError("disk full")
        return {"steps": number, "place": 10 * number + host}

    return directory.write(number, files)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_each_goes_on_from_its_own_record(hosts, tmp_path, monkeypatch):
    directory = CheckpointDirectory(tmp_path / "runs", 2)
    hosts.run(lambda host: directory.make())
    assert hosts.run(lambda host: directory.newest()) == [None, None]
    for number in (3, 20, 100):
        folder, other = hosts.run(lambda host, number=number: write(directory, number, host))
        assert folder == other
    assert names(tmp_path / "runs") == {"step-00000020", "step-00000100"}
    assert names(Path(folder)) == {"checkpoint.json", "host-1.json", "variables.0", "variables.1"}
    found = hosts.run(lambda host: directory.newest())
    assert [path for path, _ in found] == [folder, folder]
    assert [record["place"] for _, record in found] == [1000, 1001]
    # What the second host wrote is looked at, too.
    (Path(folder) / "host-1.json").write_text("{}")
    with pytest.warns(RuntimeWarning, match="host-1.json is damaged"):
        found = hosts.run(lambda host: directory.newest())
    assert [record["place"] for _, record in found] == [200, 201]
    # One host that goes on alone takes the first one's place.
    monkeypatch.undo()
    with pytest.warns(RuntimeWarning, match="host-1.json is damaged"):
        assert directory.newest()[1]["place"] == 200


@pytest.mark.parametrize("fails", [0, 1])
def test_a_write_that_fails_on_one_fails_on_both(hosts, tmp_path, fails):
    directory = CheckpointDirectory(tmp_path / "runs", 2)
    hosts.run(lambda host: directory.make())
    hosts.run(lambda host: write(directory, 5, host))
    errors = hosts.run(lambda host: write(directory, 6, host, fails=fails))
    expected = ["disk full"] * 2
    expected[1 - fails] = f"host {fails} failed; what it printed says why"
    assert [str(error) for error in errors] == expected
    assert names(tmp_path / "runs") == {"step-00000005"}
    assert [record["steps"] for _, record in hosts.run(lambda host: directory.newest())] == [5, 5]


def test_a_directory_that_is_not_shared_is_refused(hosts, tmp_path):
    """Each machine has a folder of that name, but not the same."""
    directories = [CheckpointDirectory(tmp_path / f"disk{host}" / "runs", 2) for host in range(2)]
    for host in range(2):
        (tmp_path / f"disk{host}" / "runs").mkdir(parents=True)
    first, second = hosts.run(lambda host: directories[host].make())
    assert isinstance(first, OSError)
    assert "host 1 failed" in str(first)
    assert "`directory` must be one that all hosts reach" in str(second)
    assert names(tmp_path / "disk0" / "runs") == names(tmp_path / "disk1" / "runs") == set()
    alike = CheckpointDirectory(tmp_path / "shared", 2)
    assert hosts.run(lambda host: alike.make()) == [None, None]
    assert names(tmp_path / "shared") == set()
