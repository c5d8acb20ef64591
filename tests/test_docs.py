"""Runs every Python snippet of the docs, one page after the other; `test_readme` the README's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
SNIPPET = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

# Makes a small model and vocabulary where the snippets look for a published one: a directory of
# that name is found before the hub is asked.
PREPARE = """
import warnings
import bigbird_tf as bb
from tests.preprocessing.conftest import train_vocabulary

tokenizer = bb.BigBirdTokenizer(train_vocabulary())
config = bb.BigBirdConfig(
    vocab_size=tokenizer.vocab_size, hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
    intermediate_size=40, max_position_embeddings=1024, block_size=16,
    sep_token_id=tokenizer.sep_token_id,
)
for name in {names}:
    bb.BigBirdForPreTraining(config).save_pretrained(name)
    tokenizer.save_pretrained(name)
warnings.simplefilter("ignore")  # fresh heads, which the pages speak of
"""


def code_of(page: Path) -> str:
    """Returns the Python of a page."""
    snippets = SNIPPET.findall(page.read_text(encoding="utf-8"))
    languages = {language for language, _ in snippets}
    assert languages <= {"python", "text"}, "a snippet is python, which is run here, or text"
    return "".join(body for language, body in snippets if language == "python")


# These choose the process's devices, or train for long; the others share a process.
ALONE = ("distribution.md", "scaling.md", "training.md")
GROUPS = {name: [name] for name in ALONE} | {
    "others": [page.name for page in PAGES if page.name not in ALONE and code_of(page)]
}
# Runs each file as a script of its own, in its own folder.
RUN_ALL = """
import os, runpy, sys
for script in sys.argv[1:]:
    os.chdir(os.path.dirname(script))
    runpy.run_path(script, run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_snippets_run(group, tmp_path):
    scripts = []
    for name in GROUPS[group]:
        code = code_of(ROOT / "docs" / name)
        names = sorted(set(re.findall(r'"(google/[\w-]+)"', code)))
        script = tmp_path / name / "snippets.py"
        script.parent.mkdir()
        prepare = PREPARE.format(names=names or ["google/unused"])
        script.write_text(prepare + code, encoding="utf-8")
        scripts.append(str(script))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    run = subprocess.run(
        [sys.executable, "-c", RUN_ALL, *scripts],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    # The traceback names the page's folder.
    assert run.returncode == 0, run.stderr[-3000:]


@pytest.mark.slow
def test_saved_model_cli(tmp_path):
    """The command of docs/serving.md, on the SavedModel that ships."""
    (tmp_path / "saved_models").symlink_to(ROOT / "saved_models")
    page = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^\$ (python -c .*saved_model_cli(?:.*\\\n)*.*)$", page, re.MULTILINE)
    command = command.replace("python", f"exec {sys.executable}", 1)
    run = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    assert "Result for output key answer:" in run.stdout
