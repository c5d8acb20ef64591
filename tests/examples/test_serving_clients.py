"""The clients of `examples/serving` against a server of this process, and their settings."""

import http.server
import json
import threading
from pathlib import Path

import pytest

from examples.serving import load, rest_client

FOLDER = Path(rest_client.__file__).parent


class Handler(http.server.BaseHTTPRequestHandler):
    """Speaks the REST API: the answer to a question is the question."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append((self.path, body))
        questions = body["inputs"]["question"]
        status, answer = 200, {"outputs": {"answer": questions, "score": [1.5] * len(questions)}}
        if questions == ["fail"]:
            status, answer = 400, {"error": "no such question"}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.bodies = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url(server):
    return f"http://127.0.0.1:{server.server_port}"


def test_rest_client(server, tmp_path, capsys):
    page = tmp_path / "page.txt"
    page.write_bytes(b"broken \xff")
    assert rest_client.main(["who?", str(page), str(page), "--server", url(server)]) == 0
    assert capsys.readouterr().out == f"{page}\t1.50\twho?\n" * 2
    path, body = server.bodies[0]
    assert path == "/v1/models/qa:predict"
    assert body["inputs"]["context"] == [{"b64": "YnJva2VuIP8="}] * 2


def test_rest_client_refused(server, tmp_path, capsys):
    page = tmp_path / "page.txt"
    page.write_text("x")
    assert rest_client.main(["fail", str(page), "--server", url(server)]) == 1
    assert "400: " in (err := capsys.readouterr().err)
    assert "no such question" in err


def test_no_server(server, tmp_path, capsys):
    page = tmp_path / "page.txt"
    page.write_text("x")
    arguments = ["who?", str(page), "--server", "http://127.0.0.1:1", "--timeout", "3"]
    assert rest_client.main(arguments) == 1
    assert "http://127.0.0.1:1" in capsys.readouterr().err


def test_load_from_end_to_end(server, capsys):
    arguments = ["--server", url(server), "--requests", "13", "--clients", "3"]
    assert load.main(arguments) == 0
    assert len(server.bodies) == 13
    lengths = {len(body["inputs"]["context"][0]) for _, body in server.bodies}
    assert lengths == {len(load.SENTENCE) * count for count in (1, 30, 200)}
    assert capsys.readouterr().out.startswith("13 answered, 0 failed")


def test_load_is_bounded_by_requests_and_counts_failures():
    sent = []

    def send(number):
        sent.append(number)
        if number % 5 == 2:
            raise RuntimeError(f"no {number}")

    seconds, failed = load.run_load(send, num_requests=17, num_clients=4, max_seconds=60)
    assert sorted(sent) == list(range(17))
    assert len(seconds) == 14
    assert sorted(failed) == ["no 12", "no 2", "no 7"]


def test_load_is_bounded_by_time():
    seconds, failed = load.run_load(lambda i: None, num_requests=5, num_clients=2, max_seconds=-1)
    assert (seconds, failed) == ([], [])


def test_percentile():
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [load.percentile(values, p) for p in (1, 20, 21, 50, 99, 100)] == [1, 1, 2, 3, 5, 5]


def test_settings_name_each_other():
    compose = (FOLDER / "compose.yaml").read_text()
    for name in ("models.config", "batching.config"):
        assert f"/config/{name}" in compose
        assert (FOLDER / name).is_file()
    assert 'base_path: "/models/qa"' in (FOLDER / "models.config").read_text()
    assert "saved_models:/models:ro" in compose


@pytest.mark.parity
def test_models_config_parses():
    """As the message that the server reads it into."""
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((FOLDER / "models.config").read_text(), config)
    assert config.model_config_list.config[0].name == "qa"
    assert config.model_config_list.config[0].model_version_policy.latest.num_versions == 2
