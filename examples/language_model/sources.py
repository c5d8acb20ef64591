"""The standard library's modules as pieces of a vocabulary of their own."""

import hashlib
import io
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sentencepiece

__all__ = ["END", "Vocabulary", "find_modules", "read_modules", "split_modules"]

# Between modules, and before the first piece.
END = 1
_LEFT_OUT = {"test", "tests", "idlelib", "lib2to3", "site-packages", "dist-packages", "__pycache__"}


def find_modules() -> dict[str, Path]:
    """Returns the modules of the interpreter that runs, by their paths in its standard library.

    Tests are left out, and installed packages are.
    """
    root = Path(sysconfig.get_path("stdlib"))
    files = (file.relative_to(root) for file in sorted(root.rglob("*.py")))
    return {name.as_posix(): root / name for name in files if _LEFT_OUT.isdisjoint(name.parts[:-1])}


def split_modules(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the names of modules to learn from, and of those held out: about an eighth.

    By a hash of the name, so that it is the same on all machines.
    """
    held_out = [n for n in names if hashlib.sha256(n.encode()).digest()[0] < 32]
    return sorted({*names} - {*held_out}), sorted(held_out)


def read_modules(files: dict[str, Path], names: Sequence[str], max_bytes: int) -> list[str]:
    """Returns the texts of modules, in the order of a hash, until there are so many bytes."""
    texts: list[str] = []
    total = 0
    for name in sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest()):
        try:
            text = files[name].read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue  # Some are in other encodings, to test that Python reads them.
        size = len(text.encode())
        if size and total + size <= max_bytes:
            texts.append(text)
            total += size
    return texts


class Vocabulary:
    """A SentencePiece vocabulary of source code, in which no byte is lost.

    Args:
        texts: What to learn it from.
        vocab_size: Number of pieces, 256 of single bytes among them.
    """

    def __init__(self, texts: Sequence[str], vocab_size: int):
        lines = sorted({line[:200] for text in texts for line in text.splitlines() if line.strip()})
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines[:: max(1, len(lines) // 40_000)]),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            pad_id=0,
            eos_id=END,
            bos_id=-1,
            unk_id=2,
            byte_fallback=True,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            allow_whitespace_only_pieces=True,
            user_defined_symbols=["\n"],
            num_threads=2,
            minloglevel=2,
        )
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        pieces = (self.processor.id_to_piece(i) for i in range(vocab_size))
        # A piece of one byte is written as <0x0A>, and a space as a mark of three bytes.
        self.num_bytes = np.array(
            [
                1 if self.processor.is_byte(i) else len(piece.replace("▁", " ").encode())
                for i, piece in enumerate(pieces)
            ]
        )
        self.num_bytes[: END + 1] = 0

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Returns the ids of each text, with `END` before them."""
        return [np.array([END, *ids], np.int32) for ids in self.processor.encode(list(texts))]
