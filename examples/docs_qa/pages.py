"""The help pages of the machine's own Python modules, rendered by `pydoc`, cached on disk."""

import collections
import contextlib
import dataclasses
import gzip
import hashlib
import importlib.metadata
import json
import math
import os
import pkgutil
import random
import selectors
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["Page", "find_modules", "load_pages", "render_pages"]

# Modules that do something when imported (open a browser, print, draw), packages of tests, the
# installers that patch others, and the standard library's games and code converters.
SKIPPED_PACKAGES = frozenset(
    [
        "antigravity",
        "this",
        "__hello__",
        "__phello__",
        "idlelib",
        "turtledemo",
        "turtle",
        "test",
        "lib2to3",
        "pip",
        "setuptools",
        "pkg_resources",
        "_distutils_hack",
        "distutils",
        "ensurepip",
        "pytest",
        "_pytest",
        "py",
        "xdist",
        "execnet",
        "hypothesis",
        "bigbird_tf",
        "examples",
        "tests",
        "tzdata",
        "pydoc_data",
        "encodings",
        "wheel",
    ]
)
SKIPPED_PARTS = frozenset(
    ["test", "tests", "testing", "conftest", "__main__", "_vendor", "vendor", "benchmarks"]
)


@dataclasses.dataclass(frozen=True)
class Page:
    """The help page of one module.

    Attributes:
        module: The module's full name, such as `"numpy.linalg"`.
        text: The page, as `pydoc` renders it in plain text.
    """

    module: str
    text: str

    @property
    def package(self) -> str:
        """The unit that is held out as a whole: the top-level package.

        A module and its half written in C (`curses` and `_curses`) are one package.
        """
        return self.module.partition(".")[0].lstrip("_")


def find_modules(max_per_package: int, *, seed: int = 0) -> dict[str, list[str]]:
    """Lists the modules of the standard library and of the installed packages, importing none.

    Args:
        max_per_package: At most this many modules of each top-level package, drawn at random (the
            top-level module itself is always among them).
        seed: Seed of that draw.

    Returns:
        The modules' full names, sorted, for each top-level package.
    """
    standard = sysconfig.get_path("stdlib")
    installed = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    top_level = {name: [standard] for name in sys.stdlib_module_names}
    for module in pkgutil.iter_modules(installed):
        top_level.setdefault(module.name, installed)

    modules = {}
    for name, folders in sorted(top_level.items()):
        if _is_skipped(name):
            continue
        below = sorted(_submodules([os.path.join(folder, name) for folder in folders], name))
        if len(below) >= max_per_package:
            below = sorted(random.Random(f"{seed} {name}").sample(below, max_per_package - 1))
        modules[name] = [name, *below]
    return modules


def _is_skipped(name: str) -> bool:
    part = name.rpartition(".")[2]
    return (
        name in SKIPPED_PACKAGES
        or part in SKIPPED_PARTS
        or part.startswith("test_")
        or part.endswith("_test")
    )


def _submodules(folders: Sequence[str], package: str) -> Iterable[str]:
    # `pkgutil.walk_packages` would import each package to find its submodules.
    for module in pkgutil.iter_modules(sorted(set(folders))):
        name = f"{package}.{module.name}"
        if not _is_skipped(name):
            yield name
            if module.ispkg:
                yield from _submodules([os.path.join(f, module.name) for f in folders], name)


def render_pages(
    modules: Sequence[Sequence[str]],
    *,
    processes: int = 2,
    timeout: float = 60.0,
    max_chars: int = 60_000,
    deadline: float = math.inf,
    at_least: int = 0,
    clock: Callable[[], float] = time.monotonic,
    on_page: Callable[[str], None] = lambda module: None,
) -> tuple[list[Page], dict[str, str]]:
    """Renders the help pages of modules in worker processes.

    A module that cannot be imported, crashes its process or takes too long has no page and harms
    nothing else.

    Args:
        modules: Jobs: groups of full module names, in the order in which they are begun. Each job
            has a process of its own (so that what one imports never shows in the pages of another),
            which renders its modules in order.
        processes: Number of jobs at a time.
        timeout: Seconds that one module may take, imports included.
        max_chars: Longer pages are cut at the last line that fits.
        deadline: When to stop, in seconds of `clock`.
        at_least: Go on until there are so many pages, whatever the time.
        clock: Tells the time in seconds.
        on_page: Called, from the workers' threads, with each module's name when it is done.

    Returns:
        The pages, sorted by module, and for each module that was tried and has none the reason.
        What there was no time for is in neither.
    """
    pages: dict[str, str] = {}
    failures: dict[str, str] = {}
    stopped = threading.Event()

    def has_time() -> bool:
        return not stopped.is_set() and (clock() < deadline or len(pages) < at_least)

    def run(job: Sequence[str]) -> None:
        waiting = collections.deque(job)
        while waiting and has_time():  # Once for a job whose modules behave.
            with contextlib.closing(_Worker(max_chars)) as worker:
                while waiting and has_time():
                    name = waiting.popleft()
                    left = deadline - clock()
                    # A module that hangs must not hold up all else.
                    is_last = 0 < left < timeout and len(pages) >= at_least
                    answer = worker.ask(name, max(left, 1.0) if is_last else timeout)
                    if is_last and worker.timed_out:
                        return
                    if "page" in answer:
                        pages[name] = answer["page"]
                    else:
                        failures[name] = answer["error"]
                    on_page(name)
                    if worker.dead:
                        break

    with ThreadPoolExecutor(processes) as pool:
        try:
            for future in [pool.submit(run, job) for job in modules if job]:
                future.result()
        except BaseException:  # Such as Ctrl-C: the pool would go on to the last job.
            stopped.set()
            raise
    return [Page(name, pages[name]) for name in sorted(pages)], failures


class _Worker:
    """One `render_worker` process, asked one module at a time."""

    def __init__(self, max_chars: int):
        root = Path(__file__).resolve().parents[2]
        # Nothing of the user's environment: it would show in the page of `os`, and change others.
        environment = {
            "PATH": os.defpath,
            "PYTHONPATH": str(root),
            "PYTHONHASHSEED": "0",
            "PYTHONSAFEPATH": "1",
            "LC_ALL": "C.UTF-8",
            "MPLBACKEND": "Agg",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
        }
        self.dead = self.timed_out = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "examples.docs_qa.render_worker", str(max_chars)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        self._buffer = b""

    def ask(self, module: str, timeout: float) -> dict[str, str]:
        try:
            self._process.stdin.write(module.encode() + b"\n")
            self._process.stdin.flush()
            return json.loads(self._read_line(timeout))
        except TimeoutError:
            self.timed_out = True
            reason = f"took longer than {timeout:g} seconds"
        except (EOFError, BrokenPipeError):
            reason = "crashed its process"
        self.dead = True
        return {"module": module, "error": reason}

    def _read_line(self, timeout: float) -> bytes:
        pipe = self._process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                # The time limit is for silence: an answer arrives whole, within milliseconds.
                if not selector.select(timeout):
                    raise TimeoutError
                chunk = os.read(pipe.fileno(), 1 << 16)
                if not chunk:
                    raise EOFError
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(0 if self.dead else 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def load_pages(
    folder: str | os.PathLike,
    *,
    max_per_package: int = 250,
    processes: int = 2,
    packages: Sequence[str] | None = None,
    deadline: float = math.inf,
    at_least: int = 0,
    clock: Callable[[], float] = time.monotonic,
    on_start: Callable[[int], None] = lambda total: None,
    on_page: Callable[[str], None] = lambda module: None,
) -> tuple[list[Page], int]:
    """Loads the help pages of this machine's modules, from the cache where nothing has changed.

    What there was no time for is rendered by the next call.

    Args:
        folder: Where the pages are kept.
        max_per_package: At most this many modules of each top-level package.
        processes: Number of worker processes.
        packages: Only these top-level packages; `None` for all.
        deadline: When to stop rendering, in seconds of `clock`.
        at_least: Go on until there are so many new pages, whatever the time.
        clock: Tells the time in seconds.
        on_start: Called with the number of modules when there is something to render.
        on_page: Called with each module's name when it is done.

    Returns:
        The pages, sorted by module, and the number of modules that there was no time for.
    """
    modules = find_modules(max_per_package)
    if packages is not None:
        modules = {name: modules[name] for name in packages if name in modules}
    cache = Path(folder) / f"pages-{_fingerprint(modules)}.json.gz"
    pages, tried = [], set()
    if cache.is_file():
        cached = json.loads(gzip.decompress(cache.read_bytes()))
        pages = [Page(**page) for page in cached["pages"]]
        tried = {page.module for page in pages} | set(cached["failed"])
    waiting = {
        package: [name for name in names if name not in tried] for package, names in modules.items()
    }
    total = sum(map(len, waiting.values()))
    if not total:
        return pages, 0

    on_start(total)
    lock = threading.Lock()

    def locked_on_page(module: str) -> None:
        with lock:
            on_page(module)

    rendered, failures = render_pages(
        _jobs(waiting),
        processes=processes,
        deadline=deadline,
        at_least=at_least,
        clock=clock,
        on_page=locked_on_page,
    )
    pages = sorted(pages + rendered, key=lambda page: page.module)
    failed = sorted((tried | set(failures)) - {page.module for page in pages})
    cache.parent.mkdir(parents=True, exist_ok=True)
    unfinished = cache.with_suffix(f".{os.getpid()}")
    text = json.dumps({"pages": [dataclasses.asdict(page) for page in pages], "failed": failed})
    unfinished.write_bytes(gzip.compress(text.encode(), compresslevel=1, mtime=0))
    unfinished.replace(cache)
    return pages, total - len(rendered) - len(failures)


def _jobs(modules: dict[str, list[str]], size: int = 80) -> list[list[str]]:
    """Groups small packages and splits large ones into jobs of about `size` modules.

    The groups come first, of packages in random order: should time run out, there are pages of
    packages of all sorts. Then the longest jobs, so that none is left over at the end for one
    process alone.
    """
    packages = sorted(modules)
    random.Random(0).shuffle(packages)
    groups: list[list[str]] = [[]]
    parts = []
    for names in (modules[package] for package in packages):
        if len(names) >= size:
            parts += [names[start : start + size] for start in range(0, len(names), size)]
        else:
            if len(groups[-1]) + len(names) > size:
                groups.append([])
            groups[-1] += names
    return groups + sorted(parts, key=len, reverse=True)


def _fingerprint(modules: dict[str, list[str]]) -> str:
    """Changes whenever other pages would come out: other modules, versions, or rendering code."""
    versions = sorted({(d.name, d.version) for d in importlib.metadata.distributions() if d.name})
    code = [Path(__file__).read_bytes(), Path(__file__).with_name("render_worker.py").read_bytes()]
    parts = [sys.version, modules, versions, [hashlib.sha256(text).hexdigest() for text in code]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
