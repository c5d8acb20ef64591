"""The graphs of SavedModels, as files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tensorflow.core.protobuf import saved_model_pb2


def graph_of(folder: Path) -> Any:
    """Returns a SavedModel's `GraphDef`."""
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    return saved.meta_graphs[0].graph_def


def function_names(folder: Path) -> set[str]:
    """Returns the names of its functions."""
    return {function.signature.name for function in graph_of(folder).library.function}


def nodes_of(folder: Path) -> Iterator[tuple[str, Any]]:
    """Returns all nodes, each with the name of the function that it is in, or `""`."""
    graph = graph_of(folder)
    yield from (("", node) for node in graph.node)
    for function in graph.library.function:
        yield from ((function.signature.name, node) for node in function.node_def)


def ops_of(folder: Path) -> set[str]:
    """Returns the ops of all nodes, but for calls of its own functions."""
    return {node.op for _, node in nodes_of(folder)} - function_names(folder)
