"""Asks the exported model from another process, as a client would ask a server."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from examples.docs_qa.dataset import EncodedSplit

__all__ = ["ask_export"]


def ask_export(exported: Path, encoded: EncodedSplit, questions: Sequence[int]) -> list[dict]:
    """Asks an exported model in another process, which knows nothing of bigbird_tf.

    Args:
        exported: The SavedModel's folder.
        encoded: The split.
        questions: Indices of the questions.

    Returns:
        Dictionaries of `module`, `question`, `right_answer` and `answer`.

    Raises:
        RuntimeError: If that process fails; the message has what it wrote.
    """
    asked = [
        {
            "question": encoded.questions[index].text,
            "context": encoded.pages[encoded.page_of[index]].decode(),
        }
        for index in questions
    ]
    process = subprocess.run(
        [sys.executable, Path(__file__).with_name("ask_saved_model.py"), exported],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    if process.returncode:
        raise RuntimeError(f"The process that asks the SavedModel failed:\n{process.stderr}")
    return [
        {
            "module": encoded.questions[index].module,
            "question": encoded.questions[index].text,
            "right_answer": encoded.questions[index].answer,
            "answer": found["answer"],
        }
        for index, found in zip(questions, json.loads(process.stdout), strict=True)
    ]
