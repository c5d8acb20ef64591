"""Repositories of `sentence-transformers`: what is done with a model's vectors of tokens.

Beside the files of `transformers` they have `modules.json`, a list of modules that run one after
the other, and a folder with a config for each module but the first.
"""

import json
import os
from pathlib import Path, PureWindowsPath
from typing import Any

import keras

from bigbird_tf import hub
from bigbird_tf.whole_files import write_whole

__all__ = ["read_options", "save_options"]

# Of classes that pool their vectors of tokens.
_POOLING_OPTION = "pooling_mode"

_MODULES, _TEXTS, _POOLING = "modules.json", "sentence_bert_config.json", "1_Pooling"
_PROMPTS = "config_sentence_transformers.json"
_TYPE = "sentence_transformers.models"
# The settings of older versions, each a flag.
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


def read_options(
    model_class: type[Any], name_or_path: str | os.PathLike, **hub_options: Any
) -> dict[str, Any]:
    """Returns what a class takes beside its config.

    Args:
        model_class: Such as `BigBirdForSentenceEmbedding`; other classes take nothing.
        name_or_path: A directory or a repository id.
        **hub_options: Of `hub.find_file`.

    Returns:
        `pooling_mode`, `normalize`, `max_seq_length` and `prompt`, by name; nothing where there is
        no `modules.json`.

    Raises:
        ValueError: If there are modules, or settings of them, that would not be obeyed.
    """
    if _POOLING_OPTION not in model_class.options:
        return {}
    modules = _read(name_or_path, _MODULES, hub_options, default=[])
    if not modules:
        return {}
    try:
        kinds = [module["type"].rpartition(".")[2] for module in modules]
        paths = [module["path"] for module in modules]
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{_MODULES} of {name_or_path} is no list of modules: {error!r}"
        ) from error
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise ValueError(
            f"{_MODULES} of {name_or_path} must list Transformer, Pooling and, if vectors are "
            f"normalised, Normalize. Received: {', '.join(kinds)}. For vectors of tokens, load it "
            "as a BigBirdModel"
        )
    if paths[0]:
        raise ValueError(
            f"The Transformer of {name_or_path} must be in its main folder. Received: {paths[0]!r}"
        )
    _check_folder(name_or_path, paths[1])
    pooling = _read(name_or_path, f"{paths[1]}/config.json", hub_options)
    texts = _read(name_or_path, _TEXTS, hub_options)
    if texts.get("do_lower_case"):
        raise ValueError(
            f"{_TEXTS} of {name_or_path} has do_lower_case=True, which is for tokenizers to do, "
            "and would not be obeyed. Lower texts yourself and set it to false"
        )
    tokenizer = _read(name_or_path, "tokenizer_config.json", hub_options)
    prompt = _default_prompt(name_or_path, _read(name_or_path, _PROMPTS, hub_options))
    if prompt and not pooling.get("include_prompt", True):
        raise ValueError(
            f"The Pooling of {name_or_path} has include_prompt=False, and its texts a prompt by "
            "default, which would not be obeyed"
        )
    return {
        "pooling_mode": _pooling_mode(name_or_path, pooling),
        "normalize": len(kinds) == 3,
        "max_seq_length": texts.get("max_seq_length") or _model_max_length(tokenizer),
        "prompt": prompt or None,
    }


def _check_folder(name_or_path: str | os.PathLike, path: Any) -> None:
    # The list comes from outside, and must not lead out of the model's folder. Windows' paths take
    # both kinds of slashes, and drives.
    parsed = PureWindowsPath(path) if isinstance(path, str) else None
    if parsed is None or parsed.anchor or ".." in parsed.parts:
        raise ValueError(
            f"{_MODULES} of {name_or_path} must name folders within it, such as {_POOLING!r}. "
            f"Received: {path!r}"
        )


def _default_prompt(name_or_path: str | os.PathLike, settings: dict[str, Any]) -> str | None:
    prompts, name = settings.get("prompts") or {}, settings.get("default_prompt_name")
    if not isinstance(prompts, dict) or not isinstance(name, str | None):
        raise ValueError(
            f"{_PROMPTS} of {name_or_path} must have a dictionary `prompts`, and the name of one, "
            f"or null. Received: prompts={prompts!r}, default_prompt_name={name!r}"
        )
    prompt = prompts.get(name)
    if not isinstance(prompt, str | None):
        raise ValueError(
            f"The prompts in {_PROMPTS} of {name_or_path} must be texts. Received: {prompt!r}"
        )
    return prompt


def _read(
    name_or_path: str | os.PathLike, filename: str, hub_options: Any, default: Any = None
) -> Any:
    file = hub.find_file(name_or_path, filename, **hub_options)
    if file is None:
        return {} if default is None else default
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from error
    if default is None and not isinstance(content, dict):
        raise ValueError(f"{file} must be a JSON object. Received: a {type(content).__name__}")
    return content


def _model_max_length(tokenizer: dict[str, Any]) -> int | None:
    """Returns the longest text as newer versions store it; some write 1e30 for no limit."""
    length = tokenizer.get("model_max_length")
    return length if isinstance(length, int) and length > 0 else None


def _pooling_mode(name_or_path: str | os.PathLike, pooling: dict[str, Any]) -> str:
    modes = pooling.get("pooling_mode")
    if modes is None:
        modes = [mode for flag, mode in _FLAGS.items() if pooling.get(flag)] or ["mean"]
    modes = modes if isinstance(modes, list) else [modes]
    if len(modes) != 1 or modes[0] not in ("mean", "cls", "max"):
        raise ValueError(
            f"The Pooling of {name_or_path} must have one mode: 'mean', 'cls' or 'max'. Received: "
            f"{', '.join(map(repr, modes))}. For vectors of tokens, load it as a BigBirdModel"
        )
    return modes[0]


def save_options(model: keras.Model, directory: str | os.PathLike) -> None:
    """Writes what makes a model's pretrained directory one of `sentence-transformers`.

    Args:
        model: A model. Those that do not pool their vectors of tokens have nothing to write.
        directory: The directory.
    """
    if _POOLING_OPTION not in model.options:
        return
    directory = Path(directory)
    names = ["Transformer", "Pooling", *(["Normalize"] if model.normalize else [])]
    paths = ["", *(f"{index}_{name}" for index, name in enumerate(names) if index)]
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"{_TYPE}.{name}"}
        for index, (name, path) in enumerate(zip(names, paths, strict=True))
    ]
    # In the form of older versions, which all of them read.
    pooling = {"word_embedding_dimension": model.config.hidden_size, "include_prompt": True}
    pooling |= {flag: mode == model.pooling_mode for flag, mode in _FLAGS.items()}
    longest = model.max_seq_length or model.config.max_position_embeddings
    files = {
        _MODULES: modules,
        _TEXTS: {"max_seq_length": longest, "do_lower_case": False},
        f"{_POOLING}/config.json": pooling,
        _PROMPTS: {
            "prompts": {"default": model.prompt} if model.prompt else {},
            "default_prompt_name": "default" if model.prompt else None,
        },
    }
    for path in paths[1:]:
        (directory / path).mkdir(exist_ok=True)
    for name, value in files.items():
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        write_whole(directory / name, text)
