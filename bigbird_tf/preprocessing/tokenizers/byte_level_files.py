"""RoBERTa's files of the time before there was a `tokenizer.json`."""

import copy
from collections.abc import Mapping
from typing import Any

from bigbird_tf.preprocessing.tokenizers.pretrained_files import PretrainedFiles
from bigbird_tf.preprocessing.tokenizers.tokenizer_classes import GENERIC_CLASSES, is_class

__all__ = ["ROBERTA_TOKENS", "byte_level_json", "with_prefix_space"]

VOCABULARY_NAME, MERGES_NAME = "vocab.json", "merges.txt"
# Which tokens stand for what where no file says so.
ROBERTA_TOKENS = {
    "cls_token": "<s>",
    "sep_token": "</s>",
    "mask_token": "<mask>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "bos_token": "<s>",
    "eos_token": "</s>",
}


def byte_level_json(files: PretrainedFiles) -> dict[str, Any] | None:
    """Returns the `tokenizer.json` of RoBERTa's older files; `None` if there are none."""
    vocabulary, merges = files.read_json(VOCABULARY_NAME), files.find(MERGES_NAME)
    if vocabulary is None or merges is None:
        return None
    lines = merges.read_text(encoding="utf-8").split("\n")
    pairs = [line.split(" ") for line in lines if line and not line.startswith("#version")]
    space = bool(files.config.get("add_prefix_space", False))
    special, _ = files.tokens(ROBERTA_TOKENS, vocabulary)
    names = {name: ROBERTA_TOKENS[name] for name in ("cls_token", "sep_token")}
    by_id = {index: token for token, index in vocabulary.items()}
    names = {name: by_id.get(special[name], token) for name, token in names.items()}
    byte_level = {"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": True}
    byte_level["use_regex"] = True
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": [names["sep_token"], vocabulary[names["sep_token"]]],
            "cls": [names["cls_token"], vocabulary[names["cls_token"]]],
            "trim_offsets": True,
            "add_prefix_space": space,
        },
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": pairs,
        },
    }


def with_prefix_space(content: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a `tokenizer.json` that puts a space before a text if its config says so.

    As in `transformers`, where a class that says nothing of rules goes by `tokenizer.json` alone.

    Args:
        content: The `tokenizer.json`.
        config: The `tokenizer_config.json`.
    """
    changed = copy.deepcopy(dict(content))
    space = config.get("add_prefix_space")
    if space is None or is_class(config.get("tokenizer_class"), GENERIC_CLASSES):
        return changed
    for name, inner in (("pre_tokenizer", "pretokenizers"), ("post_processor", "processors")):
        part = changed.get(name) or {}
        for step in part.get(inner, [part]):
            if step.get("type") in ("ByteLevel", "RobertaProcessing"):
                step["add_prefix_space"] = bool(space)
    return changed
