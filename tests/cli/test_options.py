"""Every argument and option of every command: its names, its type and least value, its default.

That is what scripts of users rely on. Where each option acts, `test_arguments.py` finds again.
"""

import enum
import inspect
import typing

import typer

from bigbird_tf.cli import app, convert

TABLE = {
    "demo": ["quick: bool = False"],
    "export": [
        "MODEL: str",
        "PATH: Path",
        "--class: str = None",
        "max_length: int = None",
        "weight_dtype: float16/bfloat16/int8 = None",
        "warmup: bool = False",
        "option: list[str] = None",
    ],
    "predict": [
        "MODEL: str",
        "[TEXT]...: list[str] = None",
        "--file -f: list[Path] = None",
        "jsonl: Path = None",
        "--question -q: str = None",
        "--choice -c: list[str] = None",
        "pair: str = None",
        "signature: str = serving_default",
        "batch_size: int >= 1 = 8",
        "--class: str = None",
        "option: list[str] = None",
    ],
    "evaluate": [
        "MODEL: str",
        "FILE: Path",
        "schema: squad/triviaqa/summaries = squad",
        "evidence: Path = None",
        "predictions: Path = None",
        "limit: int >= 1 = None",
        "batch_size: int >= 1 = 8",
        "--class: str = None",
    ],
    "pattern": [
        "length: int >= 1 = 4096",
        "block_size: int >= 1 = 64",
        "--random: int >= 0 = 3",
        "--window: Any = 3",
        "--global: Any = None",
        "--global-tokens: int >= 1 = None",
        "--heads: int >= 1 = 12",
        "head_size: int >= 1 = 64",
        "layer: int >= 0 = 0",
        "plan: str = google",
        "causal: bool = False",
        "head: int >= 0 = None",
        "--output -o: Path = None",
        "--json: bool = False",
    ],
    "prepare": [
        "MODEL: str",
        "OUTPUT: str",
        "FILES...: list[str]",
        "length: int >= 3 = 4096",
        "packing: joined/sentences = joined",
        "documents: file/line = file",
        "field: str = text",
        "shard_mebibytes: int >= 1 = 64",
        "processes: int >= 1 = 1",
        "part: str = 0/1",
    ],
    "info": ["[MODEL]: str = None", "--config: bool = False"],
    "convert google": ["checkpoint: Path", "config: Path", "OUTPUT: Path"],
    "convert model-garden": ["checkpoint: Path", "config: Path", "OUTPUT: Path"],
    "convert bert": ["MODEL: str", "OUTPUT: Path", "length: int = 4096", "block_size: int = 64"],
}


def describe(name, parameter) -> str:
    """Returns a line of an argument of a command's function: names, type, least value, default."""
    kind, info = typing.get_args(parameter.annotation)
    # The first of its names stands where a default may.
    names = [text for text in (info.default, *(info.param_decls or ())) if isinstance(text, str)]
    if isinstance(info, typer.models.ArgumentInfo) and info.metavar:
        names = [info.metavar]
    least = "" if info.min is None else f" >= {info.min}"
    assert (info.max, info.clamp) == (None, False)
    default = parameter.default
    text = "" if default is parameter.empty else f" = {getattr(default, 'value', default)}"
    return f"{' '.join(names) or name}: {name_of(kind)}{least}{text}"


def name_of(kind) -> str:
    parts = [part for part in typing.get_args(kind) if part is not type(None)]
    if typing.get_origin(kind) is list:
        return f"list[{name_of(parts[0])}]"
    if parts:
        return name_of(*parts)
    is_choice = isinstance(kind, type) and issubclass(kind, enum.Enum)
    return "/".join(entry.value for entry in kind) if is_choice else kind.__name__


def test_options_of_all_commands():
    found = {}
    for group, prefix in ((app, ""), (convert.app, "convert ")):
        for command in group.registered_commands:
            parameters = inspect.signature(command.callback).parameters
            found[prefix + (command.name or command.callback.__name__)] = [
                describe(*item) for item in parameters.items()
            ]
    assert found == TABLE


def test_both_forms_of_help(run):
    for option in ("-h", "--help"):
        assert run(option).code == run("convert", option).code == run("pattern", option).code == 0
