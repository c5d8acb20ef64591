"""Renders help pages in a process of its own: `python -m examples.docs_qa.render_worker`.

Reads one module name a line from standard input and answers each with one line of JSON on standard
output: `{"module": …, "page": …}` or `{"module": …, "error": …}`.

Importing arbitrary modules can print, exit, connect, write files or start programs. Here none of
that reaches the demo: answers go to a private copy of standard output, a `SystemExit` is an answer
like any other, and an audit hook refuses the rest. What still crashes or hangs costs this process
only; `pages.render_pages` starts another.
"""

import importlib
import json
import os
import pydoc
import re
import sys
import tempfile
import warnings

# Audit events of what an import has no business doing in a documentation reader.
REFUSED_EVENTS = frozenset(
    [
        "socket.connect",
        "socket.bind",
        "socket.getaddrinfo",
        "socket.sendto",
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.fork",
        "os.forkpty",
        "os.kill",
        "os.chown",
        "os.symlink",
        "os.link",
        "os.truncate",
        "shutil.move",
        "webbrowser.open",
    ]
)
# These are refused outside of the process's own temporary folder only.
PATH_EVENTS = frozenset(
    [
        "open",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.mkdir",
        "os.chmod",
        "os.utime",
        "shutil.rmtree",
    ]
)
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

# `<object at 0x7f…>` would differ from run to run.
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]{4,16}")


def refuse_side_effects(sandbox: str) -> None:
    """Makes this process, for good, unable to connect, start programs, or write elsewhere.

    Refused calls raise `PermissionError`, an `OSError`, which is what modules that probe their
    surroundings on import are prepared for.

    Args:
        sandbox: The only folder in which files may be written.
    """
    sandbox = os.path.realpath(sandbox)
    writable = (sandbox + os.sep, os.devnull)

    def hook(event, arguments):
        if event in REFUSED_EVENTS:
            raise PermissionError(f"{event} is refused while help pages are rendered")
        if event in PATH_EVENTS:
            if event == "open" and not (arguments[2] or 0) & WRITE_FLAGS:
                return
            path = arguments[0]
            if isinstance(path, int):  # A descriptor that is open already.
                return
            path = os.path.abspath(os.fsdecode(path))
            if path != sandbox and not path.startswith(writable):
                raise PermissionError(f"{event} of {path!r} is refused outside of {sandbox}")

    sys.addaudithook(hook)


def render(module_name: str, max_chars: int) -> str:
    """Imports a module and gives its help page as plain text.

    Args:
        module_name: The module's full name.
        max_chars: Longer pages are cut at the last line that fits.

    Raises:
        BaseException: Whatever importing the module or describing it raises.
    """
    page = pydoc.plaintext.document(importlib.import_module(module_name))
    page = ADDRESS.sub("", page)
    if len(page) > max_chars:
        page = page[: page.rfind("\n", 0, max_chars) + 1]
    # Lone surrogates (in constants under DATA) have no UTF-8 form.
    return page.encode("utf-8", "replace").decode("utf-8")


def main() -> None:
    """Answers requests until standard input ends."""
    max_chars = int(sys.argv[1])
    sys.argv = [""]  # Some modules parse the command line when imported.
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    warnings.simplefilter("ignore")
    sys.dont_write_bytecode = True

    with tempfile.TemporaryDirectory() as sandbox:
        tempfile.tempdir = sandbox
        os.environ.update(HOME=sandbox, TMPDIR=sandbox)
        os.chdir(sandbox)
        refuse_side_effects(sandbox)
        for line in requests:
            name = line.strip()
            answer = {"module": name}
            try:
                answer["page"] = render(name, max_chars)
            except KeyboardInterrupt:
                break
            except BaseException as error:  # An import may raise anything, SystemExit included.
                answer["error"] = f"{type(error).__name__}: {error}"[:300]
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
        os.chdir(os.sep)


if __name__ == "__main__":
    main()
