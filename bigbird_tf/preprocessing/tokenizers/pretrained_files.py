"""`PretrainedFiles`: what a directory or a repository of the hub says of its tokenizer."""

import functools
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bigbird_tf import hub
from bigbird_tf.preprocessing.tokenizers.added_tokens import AddedToken

__all__ = [
    "NotExpressibleError",
    "PretrainedFiles",
    "read_added_token",
    "read_given_token",
    "read_model",
]

VOCABULARY_NAME = "spiece.model"
JSON_NAME = "tokenizer.json"
CONFIG_NAME = "tokenizer_config.json"
SPECIAL_MAP_NAME = "special_tokens_map.json"
ADDED_NAME = "added_tokens.json"
# Names of `transformers` for lists of further special tokens, its version 5's first.
FURTHER_NAMES = ("extra_special_tokens", "additional_special_tokens")
FLAGS = ("lstrip", "rstrip", "single_word", "normalized", "special")


class NotExpressibleError(ValueError):
    """A tokenizer's files ask for what a class of ours cannot do; another one may."""


def read_model(model: str | os.PathLike | bytes, kind: str) -> bytes:
    """Returns the bytes of a vocabulary's file that is given by them or by its path.

    Args:
        model: The bytes or the path.
        kind: What the file is, for messages, such as `"tokenizer.json"`.

    Raises:
        FileNotFoundError: If the path has no file.
        TypeError: If `model` is neither.
    """
    if isinstance(model, bytes):
        return model
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(
            f"`model` must be the path of a {kind} or its bytes. Received: model of type "
            f"{type(model).__name__}"
        )
    path = Path(model).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"`model` must be a {kind}. Received: {path}, where there is no file. For a directory "
            "or a repository of the hub use `from_pretrained`."
        )
    return path.read_bytes()


def read_added_token(value: str | Mapping[str, Any], **defaults: Any) -> AddedToken:
    """Reads a token as `transformers` writes it: its text alone, or a dictionary.

    Args:
        value: The token.
        **defaults: Fields for which the value has none.
    """
    if isinstance(value, str):
        return AddedToken(**{"id": -1, **defaults, "content": value})
    flags = {flag: bool(value[flag]) for flag in FLAGS if flag in value}
    return AddedToken(**{"id": -1, **defaults, "content": value["content"], **flags})


class PretrainedFiles:
    """The files of a tokenizer, looked for once.

    Args:
        name_or_path: A directory, a shipped model's name, or a repository id.
        hub_arguments: As in `bigbird_tf.hub.find_file`.

    Attributes:
        reasons: Why classes that were asked cannot do what the files ask for.
    """

    def __init__(self, name_or_path: str | os.PathLike, hub_arguments: dict[str, Any]):
        self.name_or_path = name_or_path
        self.hub_arguments = hub_arguments
        self.reasons: list[NotExpressibleError] = []
        self._found: dict[str, Path | None] = {}

    def find(self, filename: str) -> Path | None:
        """Returns a file's path, or `None` where there is no such file."""
        if filename not in self._found:
            self._found[filename] = hub.find_file(self.name_or_path, filename, **self.hub_arguments)
        return self._found[filename]

    def read_json(self, filename: str) -> dict[str, Any] | None:
        """Returns what a file has, or `None` where there is no such file.

        Raises:
            ValueError: If it is no JSON object.
        """
        path = self.find(filename)
        if path is None:
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise ValueError(f"a {type(content).__name__}, not an object")
        except ValueError as error:
            raise ValueError(f"{path} must be a {filename}. Received: {error}") from error
        return content

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """The `tokenizer_config.json`; empty where there is none."""
        return self.read_json(CONFIG_NAME) or {}

    @functools.cached_property
    def tokenizer_json(self) -> dict[str, Any] | None:
        """The `tokenizer.json`, or `None` where there is none."""
        return self.read_json(JSON_NAME)

    def tokens(
        self, defaults: Mapping[str, str | None], vocabulary: Mapping[str, int]
    ) -> tuple[dict[str, int | None], list[AddedToken]]:
        """Returns the special tokens by name, and all tokens that are found before others.

        What `transformers` does: tokens that the vocabulary does not have get the ids behind it.

        Args:
            defaults: The special tokens that a tokenizer of this kind has by names such as
                `"cls_token"`, unless the files say otherwise.
            vocabulary: The ids of its tokens.

        Raises:
            ValueError: If a file is broken.
        """
        try:
            named, listed = self._named(defaults), self._listed()
            return _give_ids(named, listed, defaults, vocabulary)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"The tokens that {CONFIG_NAME}, {SPECIAL_MAP_NAME} and {ADDED_NAME} of "
                f"{self.name_or_path} name must be texts, or objects with `content`. Received: "
                f"{error!r}"
            ) from error

    def _named(self, defaults: Mapping[str, str | None]) -> dict[str, AddedToken | None]:
        """Returns the special tokens by name; further ones by a number."""
        said = dict(self.config)
        if "added_tokens_decoder" not in said:
            # The older form, in which this file says more.
            said.update(self.read_json(SPECIAL_MAP_NAME) or {})
        named = {name: said.get(name, default) for name, default in defaults.items()}
        further: Any = next((said[name] for name in FURTHER_NAMES if said.get(name)), [])
        further = further.values() if isinstance(further, dict) else further
        named.update({str(number): value for number, value in enumerate(further)})
        return {
            name: None if value is None else read_added_token(value, special=True)
            for name, value in named.items()
        }

    def _listed(self) -> list[AddedToken]:
        """Returns the tokens that are listed with ids, ascending."""
        listed = {}
        for token in (self.tokenizer_json or {}).get("added_tokens") or []:
            listed[token["content"]] = read_added_token(token, id=int(token["id"]))
        decoder = self.config.get("added_tokens_decoder")
        if decoder is None:
            for content, index in (self.read_json(ADDED_NAME) or {}).items():
                listed.setdefault(content, AddedToken(int(index), content, normalized=True))
        for index, token in (decoder or {}).items():
            listed[token["content"]] = read_added_token(token, id=int(index))
        return sorted(listed.values(), key=lambda token: token.id)

    def not_found(self) -> FileNotFoundError:
        """Returns the error that lists what there is instead of a tokenizer."""
        try:
            hub.require_file(self.name_or_path, VOCABULARY_NAME, **self.hub_arguments)
        except FileNotFoundError as error:
            return error
        raise AssertionError("called where there is a vocabulary")


def _give_ids(
    named: Mapping[str, AddedToken | None],
    listed: Iterable[AddedToken],
    defaults: Mapping[str, str | None],
    vocabulary: Mapping[str, int],
) -> tuple[dict[str, int | None], list[AddedToken]]:
    ids = dict(vocabulary)
    added: dict[str, AddedToken] = {}
    special = {token.content for token in named.values() if token is not None}

    def add(token: AddedToken) -> None:
        if token.content in added or not token.content:
            return
        ids.setdefault(token.content, max(ids.values(), default=-1) + 1)
        if token.content in special:
            # Those of the older form are not said to be special where they are listed.
            is_new = token.special
            token = replace(token, special=True, normalized=token.normalized and is_new)
        added[token.content] = replace(token, id=ids[token.content])

    for token in listed:
        add(token)
    for name, chosen in named.items():
        # What a kind of tokenizer has by default need not be there.
        is_default = chosen is not None and chosen.content == defaults.get(name)
        if chosen is not None and not (is_default and chosen.content not in ids):
            add(chosen)
    by_name = {
        name: None if (chosen := named[name]) is None else ids.get(chosen.content)
        for name in defaults
    }
    return by_name, sorted(added.values(), key=lambda token: token.id)


def read_given_token(token: str | Mapping[str, Any]) -> dict[str, Any]:
    """Reads one of a tokenizer's argument `added_tokens`, with `id` -1 where none is given.

    Raises:
        TypeError: If it is none.
    """
    try:
        read = read_added_token(token)
        given = dict(token) if isinstance(token, Mapping) else {}
        return {**read.to_dict(), "id": int(given.get("id", -1))}
    except (KeyError, TypeError, AttributeError) as error:
        raise TypeError(
            "`added_tokens` must be texts, or dictionaries with `content`. Received: "
            f"{token!r} among them"
        ) from error
