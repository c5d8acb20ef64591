"""`generation_config.json` of `transformers`: what `generate` does where it is not told."""

import json
import os
import warnings
from pathlib import Path
from typing import Any, TypeVar

from bigbird_tf import hub
from bigbird_tf.config import GENERATION_CONFIG_NAME as NAME
from bigbird_tf.config import GENERATION_SETTINGS, ModelConfig
from bigbird_tf.whole_files import write_whole

__all__ = ["NAME", "read_into", "save"]

C = TypeVar("C", bound=ModelConfig)

# Ids that a config has, too. What ends a text may be several there, as chat models have it.
_IDS = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
# Settings that `generate` takes no defaults from, or does not know, and what does nothing.
_NOT_OBEYED: dict[str, Any] = {
    "bad_words_ids": None,
    "begin_suppress_tokens": None,
    "constraints": None,
    "diversity_penalty": 0,
    "do_sample": False,
    "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1,
    "exponential_decay_length_penalty": None,
    "force_words_ids": None,
    "guidance_scale": 1,
    "num_beam_groups": 1,
    "num_return_sequences": 1,
    "penalty_alpha": 0,
    "sequence_bias": None,
    "suppress_tokens": None,
}


def read_into(
    model_class: type[Any],
    config: C,
    name_or_path: str | os.PathLike,
    overrides: dict[str, Any],
    **hub_options: Any,
) -> C:
    """Returns a config with the settings of `generation_config.json`, where there is one.

    As in `transformers` it then decides alone, and what `config.json` has of these does not count.

    Args:
        model_class: The class that is to be loaded. What does not read the settings has none.
        config: The checkpoint's config.
        name_or_path: A directory or a repository id.
        overrides: Fields of the config that the caller has given, and that count more.
        **hub_options: Of `hub.find_file`.

    Raises:
        ValueError: If the file is not a JSON object, or has ids that are impossible.
    """
    if not model_class.reads_generation_settings or "extra" in overrides:
        return config
    file = hub.find_file(name_or_path, NAME, **hub_options)
    if file is None:
        return config
    try:
        settings = json.loads(Path(file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{file} must be a JSON object. Received: a {type(settings).__name__}")
    left_out = {
        name: settings[name]
        for name, nothing in _NOT_OBEYED.items()
        if settings.get(name) is not None and settings[name] != nothing
    }
    if left_out:
        said = ", ".join(f"{name}={value!r}" for name, value in left_out.items())
        warnings.warn(
            f"`generate` takes no defaults for these settings of {file}: {said}. What it has an "
            "argument for, pass yourself",
            stacklevel=3,
        )
    ids = {name: settings[name] for name in _IDS if settings.get(name) is not None}
    ids = {name: value for name, value in ids.items() if name not in overrides}
    try:
        changed = config.replace(**ids, extra={**config.extra, GENERATION_SETTINGS: settings})
    except ValueError as error:
        raise ValueError(f"{file} does not fit the model's config: {error}") from error
    other = [
        f"{name}={getattr(changed, name)} (config.json: {getattr(config, name)})"
        for name in ("pad_token_id", "decoder_start_token_id")
        if name in ids and getattr(changed, name) != getattr(config, name)
    ]
    if other:
        warnings.warn(
            f"{file} and config.json have other special ids. The former count: {', '.join(other)}",
            stacklevel=3,
        )
    return changed


def save(config: C, directory: Path) -> C:
    """Writes `generation_config.json`, if a model was loaded with one; one that is there goes.

    Args:
        config: The model's config.
        directory: The directory.

    Returns:
        The config without the settings, for `config.json`.
    """
    extra = dict(config.extra)
    settings = extra.pop(GENERATION_SETTINGS, None)
    if settings is None:
        # That of a model saved there before would decide over this one's own settings.
        (directory / NAME).unlink(missing_ok=True)
        return config
    # They may have changed since.
    ids = {name: getattr(config, name) for name in _IDS if name in settings}
    ids = {name: list(x) if isinstance(x, tuple) else x for name, x in ids.items()}
    text = json.dumps({**settings, **ids}, indent=2, sort_keys=True, ensure_ascii=False)
    write_whole(directory / NAME, text + "\n")
    return config.replace(extra=extra)
