"""The real client of the hub against a small server: what is downloaded, kept, and refused."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import load_file

from bigbird_tf import hub
from bigbird_tf.config import BigBirdConfig
from bigbird_tf.models import BigBirdModel
from tests.checkpoints.test_tensor_files import write_shards
from tests.checkpoints.torch_archive import write_torch_file
from tests.contract import randomize, tiny_config
from tests.hub_server import COMMIT, HubServer, kept_files, lower_case

REPOSITORY = "someone/bigbird-tiny"


@pytest.fixture(scope="module")
def model():
    model = BigBirdModel(tiny_config(num_hidden_layers=1))
    randomize(model)
    return model


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    directory = tmp_path_factory.mktemp("saved")
    model.save_pretrained(directory)
    return directory


@pytest.fixture
def server(saved, monkeypatch, tmp_path):
    """A hub with one repository, a client that goes there, and an empty cache."""
    with HubServer() as server:
        server.attract_client(monkeypatch, tmp_path)
        server.add(REPOSITORY, saved)
        yield server
        huggingface_hub.close_session()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def assert_same_weights(found, expected):
    for one, other in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)


class TestDownload:
    def test_model(self, server, model):
        assert_same_weights(BigBirdModel.from_pretrained(REPOSITORY), model)

    def test_what_is_cached_is_not_downloaded_again(self, server, model):
        for _ in range(2):
            assert_same_weights(BigBirdModel.from_pretrained(REPOSITORY), model)
        assert sorted(server.downloads()) == ["config.json", "model.safetensors"]

    def test_cache_dir(self, server, tmp_path, cache):
        BigBirdConfig.from_pretrained(REPOSITORY, cache_dir=tmp_path / "elsewhere")
        assert len(kept_files(tmp_path / "elsewhere")) == 1
        assert not cache.exists()

    @pytest.mark.parametrize("revision", ["v2", COMMIT])
    def test_revision(self, server, model, revision):
        loaded = BigBirdModel.from_pretrained(REPOSITORY, revision=revision)
        assert_same_weights(loaded, model)
        assert all(f"/resolve/{revision}/" in path for _, path, _ in server.requests)

    def test_directory_of_the_same_name_wins(self, server, saved, tmp_path, monkeypatch, model):
        directory = tmp_path / "work" / REPOSITORY
        directory.parent.mkdir(parents=True)
        directory.symlink_to(saved)
        monkeypatch.chdir(tmp_path / "work")
        assert_same_weights(BigBirdModel.from_pretrained(REPOSITORY), model)
        assert not server.requests

    def test_shards(self, server, saved, tmp_path, model):
        from safetensors.numpy import load_file

        tensors = load_file(saved / "model.safetensors")
        names = sorted(tensors)
        write_shards(tmp_path, [{n: tensors[n] for n in names[i::2]} for i in range(2)])
        (tmp_path / "config.json").write_bytes((saved / "config.json").read_bytes())
        shards = tmp_path / "shards"
        shards.mkdir()
        for file in tmp_path.glob("*.json"):
            file.rename(shards / file.name)
        for file in tmp_path.glob("*.safetensors"):
            file.rename(shards / file.name)
        server.add(REPOSITORY, shards)
        assert_same_weights(BigBirdModel.from_pretrained(REPOSITORY), model)

    def test_only_pytorch_weights(self, server, saved):
        """What is there is asked for."""
        files = server.repositories[REPOSITORY].files
        files["pytorch_model.bin"] = files.pop("model.safetensors")
        assert hub.find_file(REPOSITORY, "model.safetensors") is None
        assert hub.find_file(REPOSITORY, "pytorch_model.bin").is_file()

    def test_model_of_pytorch_weights(self, server, saved, tmp_path, model):
        write_torch_file(tmp_path / "pytorch_model.bin", load_file(saved / "model.safetensors"))
        files = server.repositories[REPOSITORY].files
        files["pytorch_model.bin"] = (tmp_path / "pytorch_model.bin").read_bytes()
        del files["model.safetensors"]
        assert_same_weights(BigBirdModel.from_pretrained(REPOSITORY), model)
        loaded = BigBirdModel.from_pretrained(REPOSITORY, local_files_only=True)
        assert_same_weights(loaded, model)

    def test_no_weights_that_are_read(self, server):
        files = server.repositories[REPOSITORY].files
        files["tf_model.h5"] = files.pop("model.safetensors")
        with pytest.raises(
            FileNotFoundError, match=r"no weights: .* It has: config\.json, tf_model\.h5\.$"
        ):
            BigBirdModel.from_pretrained(REPOSITORY)

    def test_weights_in_a_pull_request(self, server):
        repository = server.repositories[REPOSITORY]
        del repository.files["model.safetensors"]
        repository.pull_requests = {
            "refs/pr/1": ["config.json"],
            "refs/pr/2": ["config.json", "model.safetensors"],
        }
        expected = (
            r"It has: config\.json\. model\.safetensors is in a pull request: pass "
            r"revision='refs/pr/2', once you have looked"
        )
        with pytest.raises(FileNotFoundError, match=expected):
            BigBirdModel.from_pretrained(REPOSITORY)

    def test_endpoint_of_the_environment(self, server, tmp_path):
        """In a process of its own, as users set it; only the look-up, which needs no Keras."""
        program = (
            "import sys, types\n"
            "sys.modules['bigbird_tf'] = package = types.ModuleType('bigbird_tf')\n"
            f"package.__path__ = [{str(Path(hub.__file__).parent)!r}]\n"
            "from bigbird_tf import hub\n"
            "assert 'keras' not in sys.modules\n"
            f"print(hub.find_file({REPOSITORY!r}, 'config.json').read_text())\n"
        )
        environment = {
            "PATH": os.environ["PATH"],
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(tmp_path / "home"),
        }
        for offline in ("0", "1"):
            done = subprocess.run(
                [sys.executable, "-W", "error", "-c", program],
                env={**environment, "HF_HUB_OFFLINE": offline},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["model_type"] == "big_bird"
        assert server.downloads() == ["config.json"]


class TestOffline:
    @pytest.fixture(params=["local_files_only", "HF_HUB_OFFLINE"])
    def options(self, request, monkeypatch):
        """Options of the second load; whatever they are, the server must not be asked."""

        def go_offline(server):
            server.requests.clear()
            if request.param == "local_files_only":
                return {"local_files_only": True}
            monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
            huggingface_hub.close_session()
            return {}

        return go_offline

    def test_second_load(self, server, model, options):
        BigBirdModel.from_pretrained(REPOSITORY)
        loaded = BigBirdModel.from_pretrained(REPOSITORY, **options(server))
        assert_same_weights(loaded, model)
        assert not server.requests

    def test_nothing_was_downloaded(self, server, options):
        with pytest.raises(FileNotFoundError, match=r"is not in the cache.*local_files_only"):
            BigBirdModel.from_pretrained(REPOSITORY, **options(server))
        assert not server.requests

    def test_only_the_config_was_downloaded(self, server, options):
        BigBirdConfig.from_pretrained(REPOSITORY)
        with pytest.raises(FileNotFoundError, match=r"no weights: none of .*offline, in the cache"):
            BigBirdModel.from_pretrained(REPOSITORY, **options(server))

    def test_file_that_the_repository_does_not_have(self, server, options):
        BigBirdConfig.from_pretrained(REPOSITORY)
        assert hub.find_file(REPOSITORY, "spiece.model") is None
        assert hub.find_file(REPOSITORY, "spiece.model", **options(server)) is None

    @pytest.fixture
    def take_down(self, monkeypatch):
        def go():
            monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
            template = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
            monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

        return go

    def test_hub_is_down(self, server, model, take_down):
        BigBirdModel.from_pretrained(REPOSITORY)
        take_down()
        assert_same_weights(BigBirdModel.from_pretrained(REPOSITORY), model)

    def test_hub_is_down_and_was_asked_before(self, server, take_down):
        """So a repository with PyTorch's file alone still loads: no model.safetensors is known."""
        files = server.repositories[REPOSITORY].files
        files["pytorch_model.bin"] = files.pop("model.safetensors")
        names = ("model.safetensors", "pytorch_model.bin")
        before = [hub.find_file(REPOSITORY, name) for name in names]
        take_down()
        assert [hub.find_file(REPOSITORY, name) for name in names] == before
        assert before[0] is None

    def test_hub_is_down_and_nothing_was_downloaded(self, server, cache, take_down):
        take_down()
        with pytest.raises(FileNotFoundError, match=r"hub cannot be reached .*the connection"):
            BigBirdModel.from_pretrained(REPOSITORY)
        assert not kept_files(cache)

    def test_hub_that_cannot_be_reached_is_tried_once(self, server, take_down, monkeypatch):
        """The client itself tries seven times, with pauses that grow."""
        take_down()
        connect = socket.create_connection
        tries = []

        def count(address, *args, **kwargs):
            tries.append(address)
            return connect(address, *args, **kwargs)

        monkeypatch.setattr(socket, "create_connection", count)
        with pytest.raises(
            FileNotFoundError,
            match=r"No directory 'bigbird-docs-qa-mni', no such model .*-docs-qa-mini\)"
            r", and the hub cannot be reached.*Did you mean 'bigbird-docs-qa-mini'\?",
        ):
            BigBirdModel.from_pretrained("bigbird-docs-qa-mni")
        assert tries == [("127.0.0.1", 9)]

    def test_hub_that_is_out_of_order_is_tried_once(self, server):
        server.faults["config.json"] = "down"
        with pytest.raises(OSError, match=r"The hub could not give 'config\.json' of .*503"):
            BigBirdModel.from_pretrained(REPOSITORY)
        assert [method for method, *_ in server.requests] == ["HEAD"]


class TestAccess:
    def test_token_is_sent(self, server, model):
        server.repositories[REPOSITORY].token = "hf_secret"
        assert_same_weights(BigBirdModel.from_pretrained(REPOSITORY, token="hf_secret"), model)
        sent = {headers.get("authorization") for _, _, headers in lower_case(server.requests)}
        assert sent == {"Bearer hf_secret"}

    def test_no_token_is_sent_without_one(self, server):
        BigBirdConfig.from_pretrained(REPOSITORY)
        assert all("authorization" not in headers for *_, headers in lower_case(server.requests))

    def test_gated_repository(self, server):
        server.repositories[REPOSITORY].token = "hf_secret"
        with pytest.raises(FileNotFoundError, match=r"is gated: ask for access.*`token=`"):
            BigBirdModel.from_pretrained(REPOSITORY)

    def test_wrong_token(self, server, cache):
        server.repositories[REPOSITORY].token = "hf_secret"
        with pytest.raises(PermissionError, match=r"refuses access to .*: check `token=`"):
            BigBirdModel.from_pretrained(REPOSITORY, token="hf_wrong")
        assert not kept_files(cache)

    def test_token_that_may_not(self, server, cache):
        server.faults["config.json"] = "forbidden"
        with pytest.raises(PermissionError, match=r"refuses access to .*: check `token=`"):
            BigBirdModel.from_pretrained(REPOSITORY, token="hf_weak")
        assert not kept_files(cache)

    def test_unknown_repository(self, server):
        with pytest.raises(
            FileNotFoundError,
            match=r"No directory 'someone/else', no such model .* ship \(bigbird-docs-qa-mini\)",
        ):
            BigBirdModel.from_pretrained("someone/else")

    def test_unknown_revision(self, server):
        with pytest.raises(FileNotFoundError, match="has no `revision` 'v3'"):
            BigBirdModel.from_pretrained(REPOSITORY, revision="v3")

    def test_directory_of_almost_that_name(self, server, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "models/my-bird").mkdir(parents=True)
        for name in ("models/mybird", "./models/my_bird", tmp_path / "models/my-birds"):
            with pytest.raises(FileNotFoundError, match=r"Did you mean '\S*models/my-bird'\?"):
                BigBirdModel.from_pretrained(name)

    def test_impossible_name(self, server):
        with pytest.raises(FileNotFoundError, match="cannot be the id of a repository"):
            BigBirdModel.from_pretrained("no/such/directory")

    def test_file_instead_of_its_directory(self, saved):
        with pytest.raises(FileNotFoundError, match="Pass the directory that holds it"):
            BigBirdModel.from_pretrained(saved / "model.safetensors")

    def test_repository_without_config(self, server):
        del server.repositories[REPOSITORY].files["config.json"]
        with pytest.raises(FileNotFoundError, match=r"bigbird-tiny' has no 'config\.json'"):
            BigBirdModel.from_pretrained(REPOSITORY)

    def test_repository_without_weights(self, server):
        del server.repositories[REPOSITORY].files["model.safetensors"]
        with pytest.raises(FileNotFoundError, match="has a config but no weights"):
            BigBirdModel.from_pretrained(REPOSITORY)


class TestBrokenDownloads:
    """Each ends with a clear error, nothing half in the cache, and a second attempt that works."""

    def assert_fails_and_recovers(self, server, cache, model, match):
        with pytest.raises(OSError, match=match):
            BigBirdModel.from_pretrained(REPOSITORY)
        assert [path.stat().st_size for path in kept_files(cache)] == [
            len(server.repositories[REPOSITORY].files["config.json"])
        ]
        assert not list(cache.rglob("*/model.safetensors"))
        server.faults.clear()
        assert_same_weights(BigBirdModel.from_pretrained(REPOSITORY), model)

    def test_connection_that_breaks_once(self, server, model):
        server.faults["model.safetensors"] = "break"
        assert_same_weights(BigBirdModel.from_pretrained(REPOSITORY), model)
        ranges = [h["range"] for _, _, h in lower_case(server.requests) if "range" in h]
        assert len(ranges) == 1
        assert server.downloads().count("model.safetensors") == 2

    def test_connection_that_always_breaks(self, server, cache, model):
        server.faults["model.safetensors"] = "break always"
        self.assert_fails_and_recovers(
            server, cache, model, "'model.safetensors' of .* could not be downloaded whole"
        )

    def test_truncated_file(self, server, cache, model):
        server.faults["model.safetensors"] = "truncate"
        self.assert_fails_and_recovers(
            server, cache, model, r"could not be downloaded whole.*should be of size \d+ but"
        )

    def test_wrong_checksum(self, server, cache, model):
        server.faults["model.safetensors"] = "corrupt"
        self.assert_fails_and_recovers(
            server,
            cache,
            model,
            r"could not be downloaded whole.*SHA-256 must be \w{64}\. Received",
        )

    def test_error_of_the_server(self, server, cache, model):
        server.faults["model.safetensors"] = "unavailable"
        self.assert_fails_and_recovers(
            server, cache, model, "The hub could not give 'model.safetensors'"
        )

    def test_page_in_place_of_the_config(self, server):
        server.repositories[REPOSITORY].files["config.json"] = b"<html>sign in</html>"
        with pytest.raises(ValueError, match=r"config\.json is not valid JSON"):
            BigBirdModel.from_pretrained(REPOSITORY)


class TestPush:
    def test_what_is_pushed_loads(self, server, model):
        model.push_to_hub("someone/new", token="hf_mine", commit_message="First")
        pushed = server.repositories["someone/new"].files
        assert sorted(pushed) == ["config.json", "model.safetensors"]
        assert_same_weights(BigBirdModel.from_pretrained("someone/new"), model)
        tokens = {h.get("authorization") for m, _, h in lower_case(server.requests) if m == "POST"}
        assert tokens == {"Bearer hf_mine"}

    def test_existing_repository(self, server, model):
        model.push_to_hub(REPOSITORY, token="hf_mine")
        assert_same_weights(BigBirdModel.from_pretrained(REPOSITORY), model)
