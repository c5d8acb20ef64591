"""The help pages of the machine's own Python modules, rendered by `pydoc`, cached on disk."""

import collections
import contextlib
import dataclasses
import gzip
import hashlib
import importlib.metadata
import json
import os
import pkgutil
import random
import selectors
import subprocess
import sys
import sysconfig
import threading
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
    on_page: Callable[[str], None] = lambda module: None,
) -> tuple[list[Page], dict[str, str]]:
    """Renders the help pages of modules in worker processes.

    A module that cannot be imported, crashes its process or takes too long has no page and harms
    nothing else.

    Args:
        modules: Jobs: groups of full module names. Each job has a process of its own (so that what
            one imports never shows in the pages of another), which renders its modules in order.
        processes: Number of jobs at a time.
        timeout: Seconds that one module may take, imports included.
        max_chars: Longer pages are cut at the last line that fits.
        on_page: Called, from the workers' threads, with each module's name when it is done.

    Returns:
        The pages, sorted by module, and for each module without one the reason.
    """
    pages: dict[str, str] = {}
    failures: dict[str, str] = {}
    stopped = threading.Event()

    def run(job: Sequence[str]) -> None:
        waiting = collections.deque(job)
        while waiting and not stopped.is_set():  # Once for a job whose modules behave.
            with contextlib.closing(_Worker(max_chars)) as worker:
                while waiting and not stopped.is_set():
                    name = waiting.popleft()
                    answer = worker.ask(name, timeout)
                    if "page" in answer:
                        pages[name] = answer["page"]
                    else:
                        failures[name] = answer["error"]
                    on_page(name)
                    if worker.dead:
                        break

    # The longest jobs first, so that none is left over at the end for one process alone.
    jobs = sorted((job for job in modules if job), key=len, reverse=True)
    with ThreadPoolExecutor(processes) as pool:
        try:
            for future in [pool.submit(run, job) for job in jobs]:
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
        self.dead = False
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
    on_start: Callable[[int], None] = lambda total: None,
    on_page: Callable[[str], None] = lambda module: None,
) -> list[Page]:
    """Gives the help pages of this machine's modules, from the cache if nothing has changed.

    Args:
        folder: Where the pages are kept.
        max_per_package: At most this many modules of each top-level package.
        processes: Number of worker processes.
        packages: Only these top-level packages; `None` for all.
        on_start: Called with the number of modules when there is something to render.
        on_page: Called with each module's name when it is done.

    Returns:
        The pages, sorted by module.
    """
    modules = find_modules(max_per_package)
    if packages is not None:
        modules = {name: modules[name] for name in packages if name in modules}
    cache = Path(folder) / f"pages-{_fingerprint(modules)}.json.gz"
    if cache.is_file():
        return [Page(**page) for page in json.loads(gzip.decompress(cache.read_bytes()))]

    total = sum(map(len, modules.values()))
    on_start(total)
    lock = threading.Lock()

    def locked_on_page(module: str) -> None:
        with lock:
            on_page(module)

    pages, _ = render_pages(_jobs(modules), processes=processes, on_page=locked_on_page)
    cache.parent.mkdir(parents=True, exist_ok=True)
    unfinished = cache.with_suffix(f".{os.getpid()}")
    text = json.dumps([dataclasses.asdict(page) for page in pages])
    unfinished.write_bytes(gzip.compress(text.encode(), compresslevel=1, mtime=0))
    unfinished.replace(cache)
    return pages


def _jobs(modules: dict[str, list[str]], size: int = 80) -> list[list[str]]:
    """Groups small packages and splits large ones into jobs of about `size` modules."""
    jobs: list[list[str]] = [[]]
    for names in modules.values():
        if len(names) >= size:
            jobs.extend(names[start : start + size] for start in range(0, len(names), size))
        else:
            if len(jobs[0]) + len(names) > size:
                jobs.insert(0, [])
            jobs[0].extend(names)
    return jobs


def _fingerprint(modules: dict[str, list[str]]) -> str:
    """Changes whenever other pages would come out: other modules, versions, or rendering code."""
    versions = sorted({(d.name, d.version) for d in importlib.metadata.distributions() if d.name})
    code = [Path(__file__).read_bytes(), Path(__file__).with_name("render_worker.py").read_bytes()]
    parts = [sys.version, modules, versions, [hashlib.sha256(text).hexdigest() for text in code]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
