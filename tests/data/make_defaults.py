"""Writes `defaults.json`: what the public functions do with arguments that are not given.

python -m tests.data.make_defaults
"""

import importlib
import inspect
import json
import pkgutil
from pathlib import Path

import bigbird_tf

FILE = Path(__file__).with_name("defaults.json")
# Another backend's, or run when it is imported.
LEFT_OUT = ("bigbird_tf.nn.backend", "bigbird_tf.cli")


def read_defaults() -> dict[str, dict[str, str]]:
    """Returns each function's defaults as Python writes them, by its module and name."""
    found = {}
    for info in pkgutil.walk_packages(bigbird_tf.__path__, "bigbird_tf."):
        if info.name.startswith(LEFT_OUT):
            continue
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if getattr(value, "__module__", "") != info.name:
                continue
            members = vars(value).values() if inspect.isclass(value) else [value]
            for function in members:
                function = getattr(function, "__func__", function)
                if not inspect.isfunction(function) or function.__module__ != info.name:
                    continue
                name = f"{info.name}.{function.__qualname__}"
                is_public = "._" not in name.replace(".__init__", "").replace(".__call__", "")
                if is_public and (defaults := _defaults_of(function)):
                    found[name] = defaults
    return found


def _defaults_of(function) -> dict[str, str]:
    """Returns what Python writes alike on every machine, so no objects and no modules."""
    return {
        name: repr(parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not parameter.empty and not repr(parameter.default).startswith("<")
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(read_defaults(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
