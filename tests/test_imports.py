"""What importing the package brings in, and which room imports which."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "bigbird_tf"
OPTIONAL = {
    "msgpack",
    "torch",
    "official",
    "jax",
    "orbax",
    "tokenizers",
    "transformers",
    "matplotlib",
    "rouge_score",
    "pyfaidx",
    "Bio",
    "tensorflow_serving",
}
SOURCES = sorted(PACKAGE.rglob("*.py"))
# Math on tensors is `keras.ops`. These ask a backend for what Keras has no word for.
MATHEMATICS = {"nn", "attention", "layers", "generation", "models"}
TENSORFLOW_IN_FUNCTIONS = {"models/prompts.py": "tensorflow"}
BACKENDS = {
    "nn/backend/tensorflow.py": "tensorflow",
    "nn/backend/jax.py": "jax",
    "nn/backend/pallas_attention.py": "jax",
}


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imported(nodes) -> set[str]:
    """Returns the names of modules that import statements among the nodes bring in."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add(node.module)
    return names


def at_import(tree: ast.AST):
    """Returns the nodes that run when a module is imported: not the insides of functions."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield node
            yield from at_import(node)


def test_import_in_a_fresh_process():
    # Keras itself brings matplotlib where it is installed, so it comes first.
    code = (
        "import sys, keras, tensorflow_text; before = set(sys.modules); import bigbird_tf; "
        "after = {name.split('.')[0] for name in set(sys.modules) - before}; "
        f"assert 'bigbird_tf' in after; print(sorted({OPTIONAL!r} & after))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "path",
    SOURCES,
    ids=relative,
)
def test_optional_imports_are_inside_functions(path):
    tree = ast.parse(path.read_text())
    top = {name.split(".")[0] for name in imported(at_import(tree))}
    own = {BACKENDS[relative(path)]} if relative(path) in BACKENDS else set()
    assert not top & OPTIONAL - own


def test_the_scan_sees_unguarded_imports():
    tree = ast.parse(
        "class A:\n  import torch.nn\ndef f():\n  import jax\nif 1:\n  from official import b"
    )
    assert imported(at_import(tree)) == {"torch.nn", "official"}


def asks_for_the_backend(tree: ast.AST) -> bool:
    """Returns whether `backend()` is called, as `keras.backend.backend()` is."""
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return any(isinstance(f, ast.Attribute) and f.attr == "backend" for f in calls)


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if relative(path).split("/")[0] in MATHEMATICS],
    ids=relative,
)
def test_math_is_keras_ops(path):
    tree = ast.parse(path.read_text())
    tops = {name.split(".")[0] for name in imported(ast.walk(tree))}
    allowed = {BACKENDS.get(relative(path)), TENSORFLOW_IN_FUNCTIONS.get(relative(path))}
    assert tops & {"tensorflow", "jax"} <= allowed
    assert asks_for_the_backend(tree) <= (relative(path) == "nn/backend/__init__.py")


def test_the_scan_sees_who_asks_for_the_backend():
    assert asks_for_the_backend(ast.parse("def f():\n  return keras.backend.backend() == 'jax'"))
    assert not asks_for_the_backend(ast.parse("keras.backend.result_type(x, y)"))


EVERYONE_KNOWS = {"types"}
# Room: what it may import, of ours, besides.
ROOMS = {
    "types": set(),
    "version": set(),
    "hub": set(),
    "whole_files": set(),
    "config_record": set(),
    "config_checks": {"config_record"},
    "config": {"config", "hub", "config_checks", "config_record", "attention", "whole_files"},
    "nn": {"nn"},
    "requirements": set(),
    "attention": {"attention", "config_checks", "nn"},
    "layers": {"layers", "attention", "config", "nn"},
    "training": {"training", "config", "config_checks", "nn", "whole_files"},
    "generation": {"generation", "config_checks", "nn"},
    "models": {
        "config_checks",
        "models",
        "layers",
        "generation",
        "attention",
        "config",
        "checkpoints",
        "preprocessing",
        "nn",
    }
    | {"training"},
    "checkpoints": {"checkpoints", "config", "hub", "layers", "attention", "nn"}
    | {"requirements", "whole_files"},
    "preprocessing": {"preprocessing", "config", "config_checks", "hub", "requirements"}
    | {"whole_files"},
    "serving": {"serving", "models", "generation", "preprocessing", "config", "hub", "layers"}
    | {"version", "requirements"},
    "cli": {"cli", "serving", "checkpoints", "config", "attention", "hub", "models"}
    | {"preprocessing", "version", "whole_files"},
}


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if relative(path).split("/")[0].removesuffix(".py") in ROOMS],
    ids=relative,
)
def test_rooms_depend_in_one_direction(path):
    room = relative(path).split("/")[0].removesuffix(".py")
    names = imported(ast.walk(ast.parse(path.read_text())))
    ours = {name.split(".")[1] for name in names if name.startswith("bigbird_tf.")}
    assert ours <= ROOMS[room] | EVERYONE_KNOWS
    if room == "models" and path.name != "pretrained_model.py":
        assert "checkpoints" not in ours


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_graph(sources: dict[str, str]) -> dict[str, set[str]]:
    """Returns the modules that each module imports, anywhere in it; names and texts are given."""
    graph = {}
    for module, text in sources.items():
        names = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                names |= inner & sources.keys() or {node.module}
        graph[module] = names & sources.keys() - {module}
    return graph


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Returns the sets of nodes that all lead to each other."""

    def reachable(node):
        seen, stack = set(), [node]
        while stack:
            for following in graph[stack.pop()] - seen:
                seen.add(following)
                stack.append(following)
        return seen

    reached = {node: reachable(node) for node in graph}
    found = [
        {other for other in reached[node] if node in reached[other]}
        for node in graph
        if node in reached[node]
    ]
    return [nodes for index, nodes in enumerate(found) if nodes not in found[:index]]


def of_rooms(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Returns which room imports which. A room is a folder or a file right in the package."""

    def room(module):
        return module.split(".")[1] if "." in module else ""

    rooms = {room(module): set() for module in graph}
    for module, imports in graph.items():
        rooms[room(module)] |= {room(other) for other in imports} - {room(module)}
    return rooms


SOURCE_GRAPH = import_graph({module_of(path): path.read_text() for path in SOURCES})


@pytest.mark.parametrize("graph", [SOURCE_GRAPH, of_rooms(SOURCE_GRAPH)], ids=["modules", "rooms"])
def test_no_circles(graph):
    assert len(graph) > 10
    assert circles(graph) == []


def test_the_graph_sees_circles_hidden_in_functions():
    sources = {
        "p.a.x": "from p.b import y",
        "p.a.y": "",
        "p.b": "",
        "p.b.y": "def f():\n  from p.a import y",
    }
    graph = import_graph(sources)
    assert graph == {"p.a.x": {"p.b.y"}, "p.a.y": set(), "p.b": set(), "p.b.y": {"p.a.y"}}
    assert circles(graph) == []
    assert circles(of_rooms(graph)) == [{"a", "b"}]
    sources["p.a.y"] = "import p.a.x"
    assert circles(import_graph(sources)) == [{"p.a.x", "p.a.y", "p.b.y"}]


def test_every_folder_is_a_package():
    """Folders without an `__init__.py` are left out of what gets installed."""
    folders = {path.parent for path in SOURCES}
    assert not [relative(folder) for folder in folders if not (folder / "__init__.py").is_file()]
