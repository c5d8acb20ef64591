"""A small server that speaks the hub's file protocol on 127.0.0.1, and fails on request."""

import base64
import dataclasses
import hashlib
import http.server
import json
import re
import threading
import urllib.parse
from pathlib import Path

from huggingface_hub import constants

COMMIT = "c0ffee" + "0" * 34
_FILE = re.compile(r"^/([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")
_TREE = re.compile(r"^/api/models/([^/]+/[^/]+)/tree/([^?]+)")
_REFS = re.compile(r"^/api/models/([^/]+/[^/]+)/refs")
_MODEL = re.compile(r"^/api/models/([^/]+/[^/]+)/(preupload|commit|revision)/([^/]+)$")


@dataclasses.dataclass
class Repository:
    """What the hub has of one repository.

    Attributes:
        files: Contents by name.
        token: The token that it takes to read it, if any.
        revisions: Names that lead to its one commit.
        pull_requests: Names of the files of open pull requests, by their revisions.
    """

    files: dict[str, bytes]
    token: str | None = None
    revisions: tuple[str, ...] = ("main", "v2", COMMIT)
    pull_requests: dict[str, list[str]] = dataclasses.field(default_factory=dict)


class HubServer:
    """Serves repositories.

    Attributes:
        repositories: By name.
        requests: All requests so far: method, path, headers.
        faults: What goes wrong with a file's download, by the file's name: `"break"` closes the
            connection in the middle, once; `"break always"`; `"truncate"` sends half of it as if
            it were all; `"corrupt"` changes a byte; `"unavailable"` is an error of the server;
            `"down"` is one, too, as soon as the file is asked about; `"forbidden"` refuses it.
    """

    def __init__(self):
        self.repositories: dict[str, Repository] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.faults: dict[str, str] = {}
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._make_handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(self, name: str, directory: Path, **fields) -> Repository:
        """Adds a repository with a directory's files."""
        files = {file.name: file.read_bytes() for file in directory.iterdir()}
        self.repositories[name] = Repository(files, **fields)
        return self.repositories[name]

    def attract_client(self, monkeypatch, cache: Path) -> None:
        """Lets the hub's client of this process ask this server, and keep files in a new cache."""
        # HF_ENDPOINT and the others are read when the client is imported, which it has been.
        monkeypatch.setattr(constants, "ENDPOINT", self.url)
        template = self.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        # Else a process' first request asks what to call itself, without a token.
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        # So small that a broken download has something to go on from.
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
        # The client waits between attempts.
        monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(name, raising=False)

    def downloads(self) -> list[str]:
        """Lists the names of the files that were sent (not only asked about)."""
        paths = [path for method, path, _ in self.requests if method == "GET"]
        return [match[3] for path in paths if (match := _FILE.match(path))]

    def _make_handler(hub):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_HEAD(self):
                self.answer_file()

            def do_GET(self):
                self.answer_file()

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                hub.requests.append(("POST", self.path, dict(self.headers)))
                if self.path == "/api/repos/create":
                    name = json.loads(body)["name"]
                    owner = json.loads(body).get("organization") or "someone"
                    hub.repositories.setdefault(f"{owner}/{name}", Repository({}))
                    self.send_json({"url": f"{hub.url}/{owner}/{name}"})
                    return
                name, action, _ = _MODEL.match(self.path.partition("?")[0]).groups()
                if action == "preupload":
                    files = [
                        {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                        for file in json.loads(body)["files"]
                    ]
                    self.send_json({"files": files})
                    return
                for line in body.decode().splitlines():
                    entry = json.loads(line)
                    if entry["key"] == "file":
                        content = base64.b64decode(entry["value"]["content"])
                        hub.repositories[name].files[entry["value"]["path"]] = content
                self.send_json(
                    {"commitOid": COMMIT, "commitUrl": f"{hub.url}/{name}/commit/{COMMIT}"}
                )

            def send_json(self, value):
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def refuse(self, status, code=None, message=None):
                self.send_response(status)
                if code:
                    self.send_header("X-Error-Code", code)
                if message:
                    self.send_header("X-Error-Message", message)
                if code == "EntryNotFound":
                    self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def answer_file(self):
                hub.requests.append((self.command, self.path, dict(self.headers)))
                path = urllib.parse.unquote(self.path)
                if match := _TREE.match(path):
                    return self.send_tree(hub.repositories[match[1]], match[2])
                if match := _REFS.match(path):
                    return self.send_refs(hub.repositories[match[1]])
                match = _FILE.match(self.path.partition("?")[0])
                if match is None:
                    return self.refuse(404)
                name, revision, file = match.groups()
                repository = hub.repositories.get(name)
                if repository is None:
                    return self.refuse(401, "RepoNotFound", "Repository not found")
                if repository.token is not None:
                    given = self.headers.get("Authorization")
                    if given is None:
                        return self.refuse(401, "GatedRepo", "Access to it is restricted")
                    if given != f"Bearer {repository.token}":
                        message = "Invalid credentials in Authorization header"
                        return self.refuse(401, message=message)
                if hub.faults.get(file) == "down":
                    return self.refuse(503)
                if hub.faults.get(file) == "forbidden":
                    return self.refuse(403, message="Forbidden: your token cannot read this")
                if revision not in repository.revisions:
                    return self.refuse(404, "RevisionNotFound", "Invalid rev id")
                if file not in repository.files:
                    return self.refuse(404, "EntryNotFound", "Entry not found")
                return self.send_file(file, repository.files[file])

            def send_tree(self, repository, revision):
                names = repository.pull_requests.get(revision, repository.files)
                self.send_json(
                    [{"type": "file", "path": name, "size": 7, "oid": COMMIT} for name in names]
                )

            def send_refs(self, repository):
                requests = [
                    {"name": ref, "ref": ref, "targetCommit": COMMIT}
                    for ref in repository.pull_requests
                ]
                self.send_json(
                    {"branches": [], "converts": [], "tags": [], "pullRequests": requests}
                )

            def send_file(self, name, content):
                fault = hub.faults.get(name) if self.command == "GET" else None
                size = len(content)
                if fault == "unavailable":
                    return self.refuse(500)
                if name.endswith((".safetensors", ".bin", ".model")):
                    tag = hashlib.sha256(content).hexdigest()
                else:
                    tag = hashlib.sha1(b"blob %d\\0" % size + content).hexdigest()
                sent = content
                if fault == "truncate":
                    sent = content[: size // 2]
                elif fault == "corrupt":
                    sent = content[:-1] + bytes([content[-1] ^ 1])
                start = 0
                if ranges := self.headers.get("Range"):
                    start = int(re.match(r"bytes=(\d+)-", ranges)[1])
                    sent = sent[start:]
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
                self.send_header("ETag", f'"{tag}"')
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("X-Linked-Etag", f'"{tag}"')
                self.send_header("X-Linked-Size", str(size))
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                if self.command == "HEAD":
                    return None
                if fault in ("break", "break always"):
                    # Once some bytes are there, the client asks for the rest.
                    self.wfile.write(sent[: len(sent) // 2 if start == 0 else 0])
                    self.close_connection = True
                    if fault == "break":
                        del hub.faults[name]
                    return None
                self.wfile.write(sent)
                return None

        return Handler


def kept_files(cache):
    """Lists what the cache holds of contents: finished, and not."""
    return [path for path in cache.rglob("*") if path.is_file() and "blobs" in path.parts]


def lower_case(requests):
    """Returns requests with the names of their headers in lower case."""
    return [(m, p, {k.lower(): v for k, v in headers.items()}) for m, p, headers in requests]
