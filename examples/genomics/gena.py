"""A checkpoint of GENA-LM's shape with random weights: what is fine-tuned without a hub."""

import json
from collections.abc import Sequence
from pathlib import Path

import bigbird_tf as bb

__all__ = ["SPECIAL", "write_checkpoint"]

# In the order of their ids.
SPECIAL = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")


def write_checkpoint(
    folder: Path, sequences: Sequence[str], vocab_size: int = 32_000, **fields
) -> None:
    """Writes what `AIRI-Institute/gena-lm-bigbird-base-t2t` has: BPE, BigBird, and their names.

    Args:
        folder: The directory.
        sequences: What the vocabulary is trained on.
        vocab_size: Its size.
        **fields: Fields of the config with other values than the published ones.
    """
    from tokenizers import Tokenizer, decoders, models, processors, trainers

    backend = Tokenizer(models.BPE(unk_token="[UNK]"))
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=list(SPECIAL), show_progress=False
    )
    parts = [text[i : i + 1000] for text in sequences for i in range(0, len(text), 1000)]
    backend.train_from_iterator(parts, trainer)
    ends = ((token, backend.token_to_id(token)) for token in ("[SEP]", "[CLS]"))
    backend.post_processor = processors.BertProcessing(*ends)
    backend.decoder = decoders.BPEDecoder()
    folder.mkdir(parents=True, exist_ok=True)
    backend.save(str(folder / "tokenizer.json"))
    names = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")
    settings = dict(zip(names, SPECIAL, strict=True))
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    published = {
        "vocab_size": backend.get_vocab_size(),
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "max_position_embeddings": 4096,
        "block_size": 64,
        "num_random_blocks": 3,
        "hidden_act": "gelu",
        "pad_token_id": 3,
        "sep_token_id": 2,
    }
    bb.BigBirdForMaskedLM(bb.BigBirdConfig(**{**published, **fields})).save_pretrained(folder)
