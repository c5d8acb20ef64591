"""Asks a served model over REST: `python -m examples.serving.rest_client "Who sings?" page.txt`."""

import argparse
import base64
import http.client
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["ask", "main", "rest_request"]


def rest_request(
    inputs: dict[str, Sequence[str | bytes]],
    *,
    signature_name: str = "serving_default",
    columns: bool = True,
) -> dict[str, Any]:
    """Makes the body of a request to `/v1/models/<name>:predict`.

    Args:
        inputs: Strings by the signature's names, one for each document. Bytes go as base64, which
            the server decodes; so any bytes can be asked.
        signature_name: Such as `"n_best"`.
        columns: Whether to send a column for each name, or a row for each document.
    """
    values = {name: [_to_json(text) for text in texts] for name, texts in inputs.items()}
    if columns:
        return {"signature_name": signature_name, "inputs": values}
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return {"signature_name": signature_name, "instances": rows}


def _to_json(text: str | bytes) -> Any:
    return {"b64": base64.b64encode(text).decode()} if isinstance(text, bytes) else text


def ask(server: str, model: str, body: dict[str, Any], timeout: float = 60.0) -> dict[str, Any]:
    """Sends a request and gives the server's answer.

    Raises:
        RuntimeError: If the server refuses it; with what it says.
        OSError: If there is no server.
    """
    request = urllib.request.Request(
        f"{server}/v1/models/{model}:predict",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            # A server writes an answer's bytes as they are, whether they are UTF-8 or not.
            return json.loads(response.read().decode(errors="replace"))
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{error.code}: {error.read().decode(errors='replace')}") from error
    except (ValueError, http.client.HTTPException) as error:
        raise RuntimeError(f"no answer of TensorFlow Serving: {error}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Asks a question of files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--server", default="http://127.0.0.1:8501")
    parser.add_argument("--model", default="qa")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds")
    options = parser.parse_args(arguments)
    try:
        contexts = [file.read_bytes() for file in options.files]
        body = rest_request({"question": [options.question] * len(contexts), "context": contexts})
        outputs = ask(options.server, options.model, body, options.timeout)["outputs"]
    except (RuntimeError, OSError) as error:
        where = "" if isinstance(error, FileNotFoundError) else f"{options.server}: "
        print(f"{where}{error}", file=sys.stderr)
        return 1
    for file, answer, score in zip(options.files, outputs["answer"], outputs["score"], strict=True):
        print(f"{file}\t{score:.2f}\t{answer}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
