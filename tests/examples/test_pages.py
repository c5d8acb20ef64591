import json
import subprocess
import sys
from pathlib import Path

import pytest

from examples.docs_qa import pages
from examples.docs_qa.pages import Page, find_modules, load_pages, render_pages

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bad_modules(tmp_path_factory):
    """A folder on the workers' path with modules that misbehave when they are imported."""
    folder = tmp_path_factory.mktemp("modules")
    victim = folder / "victim.txt"
    victim.write_text("untouched")
    sources = {
        "mod_good": '"""A good module."""\ndef shake_tail(x=object()):\n    """Shakes the tail."""',
        "mod_prints": 'import sys\nprint("{}\\n" * 9)\nprint("noise", file=sys.stderr)',
        "mod_exits": "raise SystemExit(0)",
        "mod_raises": "raise LookupError('broken on purpose')",
        "mod_crashes": "import os\nos._exit(7)",
        "mod_hangs": "import time\ntime.sleep(1000)",
        "mod_reads_stdin": "value = input()",
        "mod_connects": "import socket\nsocket.create_connection(('127.0.0.1', 9))",
        "mod_spawns": "import subprocess\nsubprocess.run(['true'])",
        "mod_writes": f"open({str(victim)!r}, 'w').write('gone')",
        "mod_deletes": f"import os\nos.remove({str(victim)!r})",
        "mod_temporary": "import tempfile\ntempfile.TemporaryFile().write(b'fine')",
        "mod_surrogate": "VALUE = '\\udc80'",
        "mod_environment": "import os\nSECRET = os.environ.get('DEMO_SECRET')",
    }
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source + "\n")
    return folder


def render(names, folder, monkeypatch, timeout=20.0, **kwargs):
    # The workers see the folder through the path of this repository alone.
    original = subprocess.Popen

    def popen(command, env, **options):
        env = {**env, "PYTHONPATH": f"{env['PYTHONPATH']}:{folder}"}
        return original(command, env=env, **options)

    monkeypatch.setattr(pages.subprocess, "Popen", popen)
    return render_pages(names, timeout=timeout, **kwargs)


def test_misbehaving_modules_harm_nobody(bad_modules, monkeypatch):
    monkeypatch.setenv("DEMO_SECRET", "hunter2")
    names = sorted(path.stem for path in bad_modules.glob("*.py"))
    seen = []
    rendered, failures = render([names], bad_modules, monkeypatch, timeout=5, on_page=seen.append)

    assert sorted(seen) == names
    assert {page.module for page in rendered} == {
        "mod_good",
        "mod_prints",
        "mod_temporary",
        "mod_surrogate",
        "mod_environment",
    }
    reasons = {name: failures[name] for name in names if name in failures}
    assert "SystemExit" in reasons.pop("mod_exits")
    assert "broken on purpose" in reasons.pop("mod_raises")
    assert reasons.pop("mod_crashes") == "crashed its process"
    assert reasons.pop("mod_hangs") == "took longer than 5 seconds"
    assert "EOFError" in reasons.pop("mod_reads_stdin")
    for name in ("mod_connects", "mod_spawns", "mod_writes", "mod_deletes"):
        assert "refused" in reasons.pop(name)
    assert not reasons
    assert (bad_modules / "victim.txt").read_text() == "untouched"
    assert "hunter2" not in next(p.text for p in rendered if p.module == "mod_environment")


def test_rendering_is_deterministic(bad_modules, monkeypatch):
    jobs = [["mod_good", "textwrap"], ["numpy.linalg"]]
    first, failures = render(jobs, bad_modules, monkeypatch)
    second, _ = render(jobs[::-1], bad_modules, monkeypatch, processes=1)
    assert not failures
    assert first == second
    assert [page.module for page in first] == ["mod_good", "numpy.linalg", "textwrap"]
    # The default value's address is gone, the rest of it is not.
    assert "shake_tail(x=<object object>)" in first[0].text
    assert "    dedent(text)\n        Remove any common leading whitespace" in first[2].text


def test_an_interrupt_ends_rendering():
    seen = []

    def interrupt(module):
        seen.append(module)
        raise KeyboardInterrupt

    jobs = [["keyword", "textwrap", "this_is_no_module"], ["token", "opcode"], ["stat"]]
    with pytest.raises(KeyboardInterrupt):
        render_pages(jobs, processes=1, on_page=interrupt)
    assert seen == ["keyword"]


def test_long_pages_are_cut_at_a_line():
    (whole,), _ = render_pages([["textwrap"]])
    (cut,), _ = render_pages([["textwrap"]], max_chars=1000)
    assert 900 < len(cut.text) <= 1000
    assert whole.text.startswith(cut.text)
    assert cut.text.endswith("\n")


def test_worker_answers_one_line_of_json_a_module():
    result = subprocess.run(
        [sys.executable, "-m", "examples.docs_qa.render_worker", "500"],
        input="this_is_no_module\nkeyword\n",
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["module"] for answer in answers] == ["this_is_no_module", "keyword"]
    assert "ModuleNotFoundError" in answers[0]["error"]
    assert (
        answers[1]["page"].startswith("Help on module keyword") or "keyword" in answers[1]["page"]
    )


def test_find_modules_imports_nothing_and_skips_what_acts():
    modules = find_modules(max_per_package=20)
    everything = [name for names in modules.values() for name in names]
    assert len(everything) == len(set(everything))
    assert {"numpy", "keras", "json", "math"} <= set(modules)
    assert {"json.decoder", "json.encoder"} <= set(modules["json"])
    assert not {"antigravity", "this", "idlelib", "turtledemo", "test", "pip"} & set(modules)
    assert not [n for n in everything if {"tests", "__main__"} & set(n.split("."))]
    for name, names in modules.items():
        assert names[0] == name
        assert len(names) <= 20


def test_find_modules_draws_by_seed():
    first = find_modules(max_per_package=20, seed=1)["numpy"]
    assert first == find_modules(max_per_package=20, seed=1)["numpy"]
    assert first != find_modules(max_per_package=20, seed=2)["numpy"]


def test_jobs_hold_every_module_once():
    modules = {
        "a": [f"a.{i}" for i in range(7)],
        "b": ["b"],
        "c": ["c", "c.x", "c.y"],
        "d": ["d"],
    }
    jobs = pages._jobs(modules, size=3)
    assert sorted(name for job in jobs for name in job) == sorted(
        name for names in modules.values() for name in names
    )
    assert all(len(job) <= 3 for job in jobs)


def test_load_pages_caches(tmp_path, monkeypatch):
    packages = ["textwrap", "keyword", "no_such_package"]
    totals = []
    first, left_out = load_pages(tmp_path, packages=packages, on_start=totals.append)
    assert left_out == 0
    assert [page.module for page in first] == ["keyword", "textwrap"]
    assert totals == [2]

    def refuse(*args, **kwargs):
        raise AssertionError("rendered again")

    monkeypatch.setattr(pages, "render_pages", refuse)
    assert load_pages(tmp_path, packages=packages) == (first, 0)
    with pytest.raises(AssertionError, match="rendered again"):
        load_pages(tmp_path, packages=["textwrap"])


class Clock:
    """Time that stands still unless somebody moves it."""

    def __init__(self):
        self.now = 50.0

    def __call__(self):
        return self.now


def test_what_there_is_no_time_for_is_rendered_the_next_time(tmp_path):
    packages = ["bisect", "keyword", "no_such_package", "opcode", "textwrap", "token"]
    clock = Clock()
    rendered = []

    def on_page(module):
        rendered.append(module)
        clock.now += 10

    options = {"packages": packages, "processes": 1, "clock": clock, "on_page": on_page}
    first, left_out = load_pages(tmp_path, deadline=65, **options)
    assert len(first) == len(rendered) == 2
    assert left_out == 3
    again, left_out = load_pages(tmp_path, deadline=0, **options)
    assert (again, left_out) == (first, 3)
    totals = []
    last, left_out = load_pages(tmp_path, on_start=totals.append, **options)
    assert (totals, left_out) == ([3], 0)
    assert [page.module for page in last] == sorted(rendered)
    assert len(set(rendered)) == 5
    assert load_pages(tmp_path, **options) == (last, 0)


def test_some_pages_are_rendered_whatever_the_time():
    jobs = [["keyword", "no_such_module", "textwrap", "token"]]
    rendered, failures = render_pages(jobs, processes=1, deadline=0, at_least=2)
    assert [page.module for page in rendered] == ["keyword", "textwrap"]
    assert list(failures) == ["no_such_module"]
    assert render_pages(jobs, deadline=0) == ([], {})


def test_a_module_that_hangs_does_not_hold_up_what_has_a_deadline(bad_modules, monkeypatch):
    clock = Clock()
    rendered, failures = render(
        [["mod_hangs", "mod_good"]], bad_modules, monkeypatch, timeout=99, deadline=51, clock=clock
    )
    # Neither is rendered, and the first may be in the next run.
    assert (rendered, failures) == ([], {})


def test_many_packages_come_first():
    modules = {"large": [f"large.{i}" for i in range(9)], "ant": ["ant"], "bee": ["bee", "bee.x"]}
    first, *others = pages._jobs(modules, size=4)
    assert sorted(first) == ["ant", "bee", "bee.x"]
    assert [len(job) for job in others] == [4, 4, 1]


def test_package_of_a_module():
    assert Page("numpy.linalg._linalg", "").package == "numpy"
    assert Page("_curses", "").package == Page("curses.textpad", "").package
