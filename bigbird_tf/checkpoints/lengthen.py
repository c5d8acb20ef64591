"""Makes a BigBird of an ordinary BERT or RoBERTa checkpoint of `transformers`."""

import json
import os
import re
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from bigbird_tf import hub
from bigbird_tf.checkpoints import transformers_format
from bigbird_tf.checkpoints.positions import tile_positions
from bigbird_tf.checkpoints.pretrained_directory import (
    check_output_directory,
    write_pretrained_directory,
)
from bigbird_tf.checkpoints.tensor_files import TensorFiles, open_tensors
from bigbird_tf.config import CONFIG_NAME, BigBirdConfig
from bigbird_tf.layers import BigBirdEmbeddings, Encoder, Pooler

__all__ = ["lengthen"]

# Kinds of models, each with the prefix of its encoder's tensors.
_PREFIXES = {"bert": "bert.", "roberta": "roberta."}
_SAME_SETTINGS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "tie_word_embeddings",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "type_vocab_size",
    "initializer_range",
    "layer_norm_eps",
    "pad_token_id",
    "classifier_dropout",
    "id2label",
    "label2id",
    "problem_type",
)
_TOKENIZER_CONFIG = "tokenizer_config.json"
_SENTENCEPIECE = "spiece.model"
_TOKENIZER_FILES = (
    _TOKENIZER_CONFIG,
    "tokenizer.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    _SENTENCEPIECE,
)
_TOKENIZER_CLASSES = {"bert": "BertTokenizer", "roberta": "RobertaTokenizer"}
# Heads that both sides have; the others are left out.
_SHARED_HEADS = (
    "ForPreTraining",
    "ForMaskedLM",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForMultipleChoice",
)
_LM_HEAD = (
    ("lm_head.dense.", "cls.predictions.transform.dense."),
    ("lm_head.layer_norm.", "cls.predictions.transform.LayerNorm."),
    ("lm_head.bias", "cls.predictions.bias"),
)
_POSITIONS = "bert.embeddings.position_embeddings.weight"
_WORDS = "bert.embeddings.word_embeddings.weight"
# What `from_pretrained` starts afresh where it is missing.
_OPTIONAL = ("bert.pooler.", "bert.embeddings.global_embeddings.")
_NO_WEIGHTS = re.compile(r"(\.|^)(position_ids|token_type_ids)$")
_DECODER_WEIGHT = "cls.predictions.decoder.weight"
_DECODER = re.compile(r"^(cls\.predictions|lm_head)\.decoder\.(weight|bias)$")


def lengthen(
    name_or_path: str | os.PathLike,
    max_position_embeddings: int = 4096,
    *,
    output_dir: str | os.PathLike,
    revision: str | None = None,
    cache_dir: str | os.PathLike | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    **config_overrides: Any,
) -> None:
    """Makes a BigBird for long texts of a BERT or RoBERTa checkpoint of `transformers`.

    As BigBird's own weights were made (paper, section 4: "warm-started"): the table of positions is
    repeated until it is long enough, all other weights stay. With `attention_type="original_full"`
    the outputs are the original's for texts that it could read; for longer ones, train the model
    further. The heads for masked LM, pre-training (next sentence), sequence classification, token
    classification and multiple choice come along; others have another form in BigBird and are left
    out with a warning.

    The original's tokenizer comes along: `Tokenizer.from_pretrained` makes a `WordPieceTokenizer`
    of BERT's, a `FastTokenizer` of RoBERTa's, a `BigBirdTokenizer` of `spiece.model`. A BERT
    config does not say which piece is the separator; `BigBirdForQuestionAnswering` needs to know
    where it is given ids alone: `sep_token_id=102` for the published ones.

    RoBERTa counts positions from its padding's id + 1 and skips padding; here they count from 0,
    which is the same for texts that are padded at their end.

    Args:
        name_or_path: A directory, or the id of a repository on the hub.
        max_position_embeddings: Longest sequence of the new model, in tokens.
        output_dir: A new or empty directory; gets `config.json`, `model.safetensors` and the
            files of the tokenizer.
        revision: Branch, tag or commit on the hub.
        cache_dir: Where downloads are kept.
        token: The hub's access token.
        local_files_only: Whether to use only what has been downloaded before.
        **config_overrides: Fields of the new `BigBirdConfig`, such as `block_size=32`.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        FileExistsError: If `output_dir` has something in it.
        ValueError: If it is another kind of model, if `max_position_embeddings` is less than the
            original has, or if tensors are missing, unexpected or of other shapes.
    """
    check_output_directory(output_dir)
    hub_options = {
        "revision": revision,
        "cache_dir": cache_dir,
        "token": token,
        "local_files_only": local_files_only,
    }
    file = hub.require_file(name_or_path, CONFIG_NAME, **hub_options)
    settings = _read_settings(file)
    head = _head_of(settings)
    with open_tensors(name_or_path, **hub_options) as stored:
        tensors, left_out = _rename(stored, settings["model_type"], head)
        settings["tie_word_embeddings"] = _DECODER_WEIGHT not in tensors
        config = _make_config(settings, head, max_position_embeddings, config_overrides)
        first = config.pad_token_id + 1 if settings["model_type"] == "roberta" else 0
        if _POSITIONS in tensors:
            tensors[_POSITIONS] = tile_positions(
                tensors[_POSITIONS][first:], max_position_embeddings
            )
        _check_fit(config, tensors, stored.source)
    if left_out:
        warnings.warn(
            f"BigBird has no place for the head {', '.join(left_out)} of {name_or_path}: it is "
            "left out.",
            stacklevel=2,
        )
    files = _tokenizer_files(name_or_path, settings, max_position_embeddings, hub_options)
    write_pretrained_directory(output_dir, config, tensors, f"BigBird{head or 'Model'}", files)


def _tokenizer_files(
    name_or_path: str | os.PathLike,
    settings: dict[str, Any],
    max_length: int,
    hub_options: dict[str, Any],
) -> dict[str, bytes]:
    """Returns the contents of a tokenizer's files by name; without any, there is none to keep."""
    files = {}
    for name in _TOKENIZER_FILES:
        path = hub.find_file(name_or_path, name, **hub_options)
        if path is not None:
            files[name] = Path(path).read_bytes()
    if not files:
        return {}
    try:
        said = json.loads(files.get(_TOKENIZER_CONFIG, b"{}"))
        # By the model's kind alone, `transformers` would take it for BigBird's own tokenizer,
        # which reads SentencePiece only.
        if _SENTENCEPIECE not in files:
            said.setdefault("tokenizer_class", _TOKENIZER_CLASSES[settings["model_type"]])
    except (AttributeError, ValueError) as error:
        raise ValueError(
            f"The {_TOKENIZER_CONFIG} of {name_or_path} must be a JSON object. Received: {error}"
        ) from error
    said["model_max_length"] = max_length
    files[_TOKENIZER_CONFIG] = json.dumps(said, indent=2, ensure_ascii=False).encode() + b"\n"
    return files


def _read_settings(file: Path) -> dict[str, Any]:
    try:
        settings = json.loads(Path(file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from error
    model_type = settings.get("model_type") if isinstance(settings, dict) else None
    if model_type not in _PREFIXES:
        raise ValueError(
            f"{file} must be the config of one of {', '.join(map(repr, _PREFIXES))}. Received: "
            f"model_type={model_type!r}"
        )
    if not isinstance(longest := settings.get("max_position_embeddings"), int):
        raise ValueError(
            f"{file} must say how many positions the model has, an integer. Received: "
            f"max_position_embeddings={longest!r}"
        )
    positions = settings.get("position_embedding_type") or "absolute"
    if settings.get("is_decoder") or settings.get("add_cross_attention") or positions != "absolute":
        raise ValueError(
            f"{file} must be of an encoder with absolute positions. Received: is_decoder="
            f"{settings.get('is_decoder')}, add_cross_attention="
            f"{settings.get('add_cross_attention')}, position_embedding_type={positions!r}"
        )
    return settings


def _head_of(settings: dict[str, Any]) -> str | None:
    """Returns the head's name as classes end in it, if BigBird has such a head."""
    names = settings.get("architectures")
    architecture = names[0] if isinstance(names, list) and names else names
    return next((head for head in _SHARED_HEADS if str(architecture).endswith(head)), None)


def _rename(
    stored: TensorFiles, model_type: str, head: str | None
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Returns the tensors by BigBird's names, and the names of those it has no place for."""
    prefix = _PREFIXES[model_type]
    has_prefix = any(name.startswith(prefix) for name in stored)
    tensors: dict[str, np.ndarray] = {}
    decoder: dict[str, np.ndarray] = {}
    left_out = []
    for stored_name in stored:
        name = transformers_format.modern_name(stored_name)
        if _NO_WEIGHTS.search(name):
            continue
        if match := _DECODER.match(name):
            decoder[match[2]] = stored[stored_name]
            continue
        if name.startswith(prefix) or not has_prefix:
            name = f"bert.{name.removeprefix(prefix)}".replace("bert.pooler.dense.", "bert.pooler.")
        elif name.startswith("lm_head."):
            for theirs, ours in _LM_HEAD:
                name = name.replace(theirs, ours)
        elif not name.startswith("cls.") and (head is None or not name.startswith("classifier.")):
            left_out.append(name)
            continue
        tensors[name] = stored[stored_name]

    def need(name, part):
        if name not in tensors:
            raise ValueError(
                f"The checkpoint {stored.source} does not fit its config, and nothing was written. "
                f"It has no tensor {name} (by BigBird's names), which {part} needs"
            )
        return tensors[name]

    if "bias" in decoder:
        tensors["cls.predictions.bias"] = decoder["bias"]
    words = tensors.get(_WORDS)
    if "weight" in decoder and (words is None or not np.array_equal(decoder["weight"], words)):
        tensors[_DECODER_WEIGHT] = decoder["weight"]
        tensors["cls.predictions.decoder.bias"] = need("cls.predictions.bias", "the decoder")
    if head == "ForSequenceClassification" and "classifier.weight" in tensors:
        # BERT's is one layer on the pooled vector; the pooler is inside of BigBird's head.
        for kind in ("weight", "bias"):
            tensors[f"classifier.out_proj.{kind}"] = need(f"classifier.{kind}", "the classifier")
            tensors[f"classifier.dense.{kind}"] = need(f"bert.pooler.{kind}", "the classifier")
            del tensors[f"classifier.{kind}"]
    return tensors, left_out


def _make_config(
    settings: dict[str, Any], head: Any, max_position_embeddings: int, overrides: Any
) -> BigBirdConfig:
    fields = {name: settings[name] for name in _SAME_SETTINGS if name in settings}
    longest = settings["max_position_embeddings"]
    if settings["model_type"] == "roberta":
        fields.setdefault("pad_token_id", 1)
        longest -= fields["pad_token_id"] + 1
        separator = settings.get("eos_token_id", 2)
        special = {"bos_token_id": settings.get("bos_token_id", 0), "eos_token_id": separator}
    else:
        separator = None
        special = {"bos_token_id": None, "eos_token_id": None}
    if not isinstance(max_position_embeddings, int) or max_position_embeddings < longest:
        raise ValueError(
            f"`max_position_embeddings` must be an integer, {longest} (what the original has) or "
            f"more. Received: max_position_embeddings={max_position_embeddings!r}"
        )
    if head == "ForSequenceClassification":
        fields["classifier_act"] = "tanh"
    fields |= special
    fields |= {"sep_token_id": separator, "max_position_embeddings": max_position_embeddings}
    return BigBirdConfig.from_dict(fields, **overrides)


def _encoder_of(config: BigBirdConfig) -> SimpleNamespace:
    """Returns the layers of a config's encoder, by the names that `BigBirdModel` has for them."""
    encoder = SimpleNamespace(
        config_class=BigBirdConfig,
        embeddings=BigBirdEmbeddings(config),
        encoder=Encoder(config),
        pooler=Pooler(config),
    )
    shape = (None, None, config.hidden_size)
    encoder.embeddings.build(shape[:2])
    encoder.encoder.build(shape)
    encoder.pooler.build(shape)
    return encoder


def _check_fit(config: BigBirdConfig, tensors: Any, source: str) -> None:
    """Raises a `ValueError` that names the encoder's tensors that do not fit."""
    table = transformers_format.tensor_table(_encoder_of(config))
    expected = {f"bert.{name}": entry.shape for name, entry in table.items()}
    encoder = {name: array.shape for name, array in tensors.items() if name.startswith("bert.")}
    problems = {
        "missing": [
            name for name in expected if name not in encoder and not name.startswith(_OPTIONAL)
        ],
        "unexpected": [name for name in encoder if name not in expected],
        "of wrong shape": [
            f"{name} is {shape}, the config makes it {expected[name]}"
            for name, shape in encoder.items()
            if name in expected and shape != expected[name]
        ],
    }
    texts = [f"{label}: {', '.join(names[:10])}" for label, names in problems.items() if names]
    if texts:
        raise ValueError(
            f"The checkpoint {source} does not fit its config, and nothing was written. Tensors "
            f"(by BigBird's names) {'; tensors '.join(texts)}"
        )
