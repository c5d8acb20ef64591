"""Looks at every tensor of a traced function, those inside loops and branches included."""

from collections.abc import Iterator

import tensorflow as tf


def all_operations(concrete) -> Iterator[tf.Operation]:
    """Returns the operations of a concrete function and of all functions that it calls."""
    seen, graphs = set(), [concrete.graph]
    while graphs:
        graph = graphs.pop()
        for operation in graph.get_operations():
            yield operation
            for attribute in operation.node_def.attr.values():
                names = [attribute.func.name, *(f.name for f in attribute.list.func)]
                for name in filter(None, names):
                    if name not in seen:
                        seen.add(name)
                        graphs.append(graph._get_function(name).graph)


def all_tensors(concrete) -> list[tf.Tensor]:
    """Returns all tensors."""
    return [tensor for operation in all_operations(concrete) for tensor in operation.outputs]


def operations_before(operation: tf.Operation) -> set[tf.Operation]:
    """Returns an operation and all that it is computed from, within its graph."""
    found, stack = set(), [operation]
    while stack:
        operation = stack.pop()
        if operation not in found:
            found.add(operation)
            stack.extend(tensor.op for tensor in operation.inputs)
    return found
