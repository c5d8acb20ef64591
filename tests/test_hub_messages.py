"""What is said of a repository of the hub, and after which answers; without a server."""

from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError

from bigbird_tf import hub

REPOSITORY = "someone/model"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, PermissionError), (403, PermissionError), (400, OSError), (404, OSError)]
    + [(status, OSError) for status in (402, 408, 429, 500, 503)],
)
def test_errors_by_status(status, kind):
    error = SimpleNamespace(response=SimpleNamespace(status_code=status))
    made = hub._error_of_status(REPOSITORY, "config.json", error)
    assert type(made) is kind
    assert repr(REPOSITORY) in str(made)
    assert ("'config.json'" in str(made)) == (kind is OSError)


@pytest.mark.parametrize(("count", "text"), [(0, "nothing"), (1, "00"), (20, None), (21, None)])
def test_twenty_names_are_listed(count, text):
    names = [f"{i:02}" for i in reversed(range(count))]
    expected = ", ".join(sorted(names)[:20]) + (", …" if count > 20 else "")
    assert hub._listing(names) == (text or expected)
    assert hub._listing(iter(names)) == (text or expected)


def test_shipped_models_are_folders():
    found = hub.shipped_models()
    assert list(found) == sorted(found)
    assert "bigbird-docs-qa-mini" in found
    for name, path in found.items():
        assert path.is_dir()
        assert path.name == name
        assert hub.find_file(name, "config.json") == path / "config.json"
        assert hub.find_file(name, "nothing.json") is None


def test_a_folder_wins_over_a_shipped_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bigbird-docs-qa-mini").mkdir()
    assert hub.find_file("bigbird-docs-qa-mini", "config.json") is None


def test_the_home_of_a_user(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text("{}")
    (tmp_path / "model/folder").mkdir()
    assert hub.find_file("~/model", "config.json") == tmp_path / "model/config.json"
    # A folder is no file.
    assert hub.find_file("~/model", "folder") is None
    assert hub.describe_files("~/model", ()) == " It has: config.json, folder."
    with pytest.raises(FileNotFoundError, match=r"has no 'x'\. It has: config\.json, folder\."):
        hub.require_file("~/model", "x")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bigbird-docs-qa-min", " Did you mean 'bigbird-docs-qa-mini'?"),
        ("my-modle", " Did you mean 'my-model'?"),
        ("other", ""),
        # 6 of 10 letters are the same, which is less than seven tenths: 2 * 6 / (10 + 8).
        ("my-modxxxx", ""),
        # A file has no model in it.
        ("notes.tx", ""),
    ],
)
def test_names_that_are_near(tmp_path, monkeypatch, name, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-model").mkdir()
    (tmp_path / "notes.txt").write_text("")
    assert hub._advice(hub.Path(name)) == expected


def test_no_advice_of_a_folder_that_is_not_there(tmp_path):
    assert hub._advice(tmp_path / "nothing/below") == ""


class Api:
    """Stands for `huggingface_hub.HfApi`: a repository with open pull requests."""

    calls: list
    files: dict

    def __init__(self, token):
        self.calls.append(("token", token))

    def list_repo_files(self, repo_id, *, revision):
        self.calls.append((repo_id, revision))
        return self.files[revision]

    def list_repo_refs(self, repo_id, *, include_pull_requests):
        assert include_pull_requests is True
        requests = [ref for ref in self.files if str(ref).startswith("refs")]
        return SimpleNamespace(pull_requests=[SimpleNamespace(ref=ref) for ref in requests] or None)


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setattr(Api, "calls", [], raising=False)
    monkeypatch.setattr(Api, "files", {}, raising=False)
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return Api


def test_the_last_ten_pull_requests_are_looked_at(api):
    """The first of these that has a file, and no other after it."""
    has = ["config.json", "a.bin"]
    api.files = {"v2": ["b", "a"], **{f"refs/pr/{i}": has if i > 3 else has[:1] for i in range(13)}}
    text = hub.describe_files(REPOSITORY, ["a.bin", "c.bin"], revision="v2", token="hf_x")
    assert text.startswith(" It has: a, b. a.bin is in a pull request: pass revision='refs/pr/4',")
    assert api.calls == [
        ("token", "hf_x"), (REPOSITORY, "v2"), (REPOSITORY, "refs/pr/3"), (REPOSITORY, "refs/pr/4"),
    ]  # fmt: skip
    # Of thirteen, that with the number 2 is too old.
    api.files = {None: [], **{f"refs/pr/{i}": has if i == 2 else [] for i in range(13)}}
    assert hub.describe_files(REPOSITORY, ["a.bin"]) == " It has: nothing."
    assert api.calls[-10:] == [(REPOSITORY, f"refs/pr/{i}") for i in range(3, 13)]


def test_no_pull_requests(api):
    api.files = {None: ["config.json"]}
    assert hub.describe_files(REPOSITORY, ["a.bin"]) == " It has: config.json."


@pytest.mark.parametrize("how", ["local_files_only", "HF_HUB_OFFLINE"])
def test_a_hub_that_is_not_to_be_asked(api, monkeypatch, how):
    api.files = {None: ["config.json"]}
    options = {"local_files_only": True} if how == "local_files_only" else {}
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", how == "HF_HUB_OFFLINE")
    assert hub.describe_files(REPOSITORY, ["a.bin"], **options) == ""
    assert api.calls == []


@pytest.mark.parametrize(
    "error",
    [
        OSError("no route"),
        ValueError("no such name"),
        HfHubHTTPError("no", response=SimpleNamespace(status_code=500, headers={}, request=None)),
    ],
)
def test_a_hub_that_does_not_answer_adds_nothing(api, monkeypatch, error):
    def fail(self, repo_id, *, revision):
        raise error

    monkeypatch.setattr(api, "list_repo_files", fail)
    assert hub.describe_files(REPOSITORY, ["a.bin"]) == ""


def downloaded(tmp_path, name, content=b"weights"):
    """A file as the cache has it: a link to what is named by its version."""
    blob = tmp_path / "blobs" / name
    blob.parent.mkdir()
    blob.write_bytes(content)
    link = tmp_path / "model.safetensors"
    link.symlink_to(blob)
    return link, blob


@pytest.mark.parametrize(
    ("name", "is_checked"),
    [
        ("0" * 64, True),
        ("f" * 64, True),
        # A version of a small file; and what is none.
        ("0" * 40, False),
        ("0" * 63, False),
        ("0" * 65, False),
        ("g" * 64, False),
        ("0" * 64 + ".json", False),
    ],
)
def test_what_is_checked_by_its_sha(tmp_path, name, is_checked):
    link, blob = downloaded(tmp_path, name)
    if not is_checked:
        hub._verify(link)
        assert (link.is_symlink(), blob.is_file()) == (True, True)
        return
    with pytest.raises(
        OSError, match=rf"SHA-256 must be {name}\. Received .* with SHA-256 \w{{64}}"
    ):
        hub._verify(link)
    # Nothing of it is left, nor a link to nothing.
    assert (link.is_symlink(), blob.exists()) == (False, False)


def test_what_is_whole_stays(tmp_path):
    import hashlib

    link, blob = downloaded(tmp_path, hashlib.sha256(b"weights").hexdigest())
    hub._verify(link)
    assert link.read_bytes() == blob.read_bytes() == b"weights"


def test_what_is_asked_before_a_download(monkeypatch):
    """Once, with the token and the client's own patience."""
    calls = []
    monkeypatch.setattr(
        huggingface_hub, "get_hf_file_metadata", lambda url, **options: calls.append((url, options))
    )
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 7)
    assert hub._ask_once(REPOSITORY, "config.json", "v2", "hf_x") is None
    [(url, options)] = calls
    assert url.endswith("/someone/model/resolve/v2/config.json")
    assert options == {"token": "hf_x", "timeout": 7}
    for error in (OSError("no route"), TimeoutError()):

        def fail(url, error=error, **options):
            raise error

        monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", fail)
        assert hub._ask_once(REPOSITORY, "config.json", None, None) is error
