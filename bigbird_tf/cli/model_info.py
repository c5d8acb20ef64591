"""What `bigbird-tf info` says of a checkpoint: what it is, and what of it does not load."""

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

from bigbird_tf import models
from bigbird_tf.checkpoints import transformers_format
from bigbird_tf.checkpoints.sentence_transformers_format import read_options
from bigbird_tf.checkpoints.tensor_files import TensorFiles, open_tensors
from bigbird_tf.config import BigBirdPegasusConfig, ModelConfig, config_of_any_family
from bigbird_tf.models.registry import MODEL_CLASSES

__all__ = ["describe_checkpoint"]

# Heads by where their tensors are.
_HEADS = {
    "cls.predictions.": "language model",
    "cls.seq_relationship.": "next sentence",
    "classifier.": "classifier",
    "qa_classifier.": "question answering",
    "final_logits_bias": "language model",
    "lm_head.": "language model",
    "classification_head.": "classifier",
    "qa_outputs.": "question answering",
}
_SPECIAL = ("pad", "bos", "eos", "cls", "sep", "mask", "unk")


def describe_checkpoint(name_or_path: str) -> dict[str, str]:
    """Returns lines about a checkpoint, by their names.

    Args:
        name_or_path: A directory or a repository of the hub.

    Raises:
        FileNotFoundError: If there is no such directory or repository, or it has no config.
    """
    config, problem = _try(functools.partial(config_of_any_family, name_or_path))
    if config is None:
        return {"does not load": problem}
    lines = {"class": _class_name(config), "encoder": _describe_encoder(config)}
    try:
        with open_tensors(name_or_path) as tensors:
            lines |= _describe_tensors(config, tensors)
    except (OSError, ValueError, ImportError) as error:
        lines["does not load"] = str(error)
    return lines | _describe_sentences(name_or_path) | _describe_tokenizer(name_or_path, config)


def _try(load: Callable) -> tuple:
    try:
        return load(), None
    except FileNotFoundError:
        raise
    except (OSError, ValueError, ImportError) as error:
        return None, str(error)


def _architecture(config: ModelConfig) -> str | None:
    names = config.extra.get("architectures")
    name = next(iter(names), None) if isinstance(names, list) else names
    return name if isinstance(name, str) else None


def _class_name(config: ModelConfig) -> str:
    name = _architecture(config)
    if name is None:
        return "not named by the config (the commands take --class)"
    if name not in MODEL_CLASSES:
        return f"{name}, of which there is none here (the commands take --class)"
    return name


def _describe_encoder(config: ModelConfig) -> str:
    is_pegasus = isinstance(config, BigBirdPegasusConfig)
    decoder = f" and {config.decoder_layers} of a decoder" if is_pegasus else ""
    if is_pegasus and config.tie_encoder_decoder:
        decoder += " with the same weights"
    types = "" if is_pegasus else f"{config.type_vocab_size} token types, "
    text = (
        f"{config.num_hidden_layers} layers{decoder}, width {config.hidden_size}, "
        f"{config.num_attention_heads} heads, vocabulary of {config.vocab_size}, "
        f"{types}up to {config.max_position_embeddings} tokens"
    )
    causal = "causal " if config.is_decoder else ""
    if config.self_attention_type == "original_full":
        return f"{text}; {causal or 'full '}attention"
    beside = "" if is_pegasus else config.num_global_tokens
    beside = f"{beside} global tokens beside the sequence, " if beside else ""
    kind = f"{causal}{config.self_attention_type}"
    return (
        f"{text}; {kind} attention, blocks of {config.block_size}, {beside}"
        f"{config.num_random_blocks} random, full up to {config.longest_full_attention} tokens"
    )


def _describe_tensors(config: ModelConfig, tensors: TensorFiles) -> dict[str, str]:
    shapes = [tensors.shape(name) for name in tensors]
    dtypes = sorted({tensors.dtype(name) for name in tensors})
    lines = {
        "weights": tensors.source,
        "parameters": f"{sum(map(math.prod, shapes)):,} ({', '.join(dtypes)})",
        "heads": ", ".join(_heads(tensors)) or "none",
    }
    is_pegasus = isinstance(config, BigBirdPegasusConfig)
    backbone = models.BigBirdPegasusModel if is_pegasus else models.BigBirdModel
    model_class = MODEL_CLASSES.get(_architecture(config) or "", backbone)
    try:
        match = transformers_format.match_tensors(model_class(config), tensors)
    except ValueError as error:
        return lines | {"does not load": str(error)}
    if match.problems:
        lines["does not load"] = f"tensors {'; tensors '.join(match.problems)}.{match.advice}"
    if match.fresh:
        lines["starts fresh"] = _shorten(match.fresh)
    if match.left_out:
        lines["left out"] = f"{_shorten(match.left_out)}: the model has no place for them"
    return lines


def _heads(tensors: TensorFiles) -> Iterator[str]:
    found = (
        head for prefix, head in _HEADS.items() if any(name.startswith(prefix) for name in tensors)
    )
    # One head may have tensors under several prefixes.
    yield from dict.fromkeys(found)


def _describe_sentences(name_or_path: str) -> dict[str, str]:
    try:
        options = read_options(models.BigBirdForSentenceEmbedding, name_or_path)
    except ValueError as error:
        return {"sentences": f"do not load: {error}"}
    if not options:
        return {}
    longest = options["max_seq_length"]
    return {
        "sentences": f"{options['pooling_mode']} over tokens"
        + (", normalised" if options["normalize"] else "")
        + (f", cut to {longest} tokens" if longest else "")
        + (f", after the prompt {options['prompt']!r}" if options["prompt"] else "")
    }


def _describe_tokenizer(name_or_path: str, config: ModelConfig) -> dict[str, str]:
    lines = {}
    try:
        from bigbird_tf.preprocessing import Tokenizer

        tokenizer: Any = Tokenizer.from_pretrained(name_or_path)
        lines["tokenizer"] = f"{type(tokenizer).__name__}, {tokenizer.vocab_size} pieces"
        if tokenizer.vocab_size > config.vocab_size:
            lines["tokenizer"] += f", more than the {config.vocab_size} of the config's vocab_size"
    except Exception as error:  # whatever is in the files
        tokenizer = None
        is_message = isinstance(error, (OSError, ValueError, ImportError))
        lines["tokenizer"] = f"does not load: {error if is_message else repr(error)}"
    ids = []
    for name in _SPECIAL:
        field = f"{name}_token_id"
        mine, theirs = getattr(config, field, None), getattr(tokenizer, field, None)
        index = mine if theirs is None else theirs
        if index is None:
            continue
        differs = None not in (mine, theirs) and mine != theirs
        outside = isinstance(index, int) and index >= config.vocab_size
        ids.append(
            f"{name} {index}"
            + (f" (the config has {mine})" if differs else "")
            + (" (outside of the vocabulary)" if outside else "")
        )
    return lines | {"special ids": ", ".join(ids)}


def _shorten(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
