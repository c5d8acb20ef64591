# ruff: noqa: RUF001  # other letters that look like ours are meant
"""Texts of many scripts, controls, marks and special tokens, and vocabularies trained on them."""

import random

from tests.preprocessing.conftest import WORDS

SCRIPTS = (
    *("שלום עליכם", "مرحبا بالعالم", "हिन्दी में", "한국어 문장입니다", "ไทยแลนด์", "ქართული ენა"),
    *(
        "አማርኛ",
        "中文字符测试",
        "ひらがな",
        "カタカナ",
        "Việt Nam",
        "ñandú",
        "İstanbul'da ışık",
        "ÇĞÖŞÜ",
    ),
    *("ÇĞÖŞÜ", "می‌خواهم کتاب", "ΆΈΉ Σίσυφος", "Ёлка ЙЦУ", "straße ẞ", "Ǆ ǅ ﬁ ﬃ", "ŀ L·L", "ʼn"),
    *("ＦＵＬＬ　ｗｉｄｔｈ", "ﾊﾝｶｸ", "𝒜𝓁𝓅𝒽𝒶", "𐐀𐐁", "Ⅷ ⅷ", "①②", "½ ¼", "Å Å A\u030a"),
)
MARKS = (
    *("e\u0301", "A\u0308\u0323", "q\u0307\u0323", "ก\u0e33", "क\u094d\u0937", "\u0301", "o\u0338"),
    *("\u1100\u1161\u11a8", "\u212b", "\u1e9b\u0323", "≠", "\u2000", "\u037e", "\u1fef", "\u0344"),
)
CONTROLS = (
    *("\0", "\x01", "\x0b", "\x0c", "\x1b", "\x7f", "\x85", "\xad", "\u200b", "\u200d", "\u200e"),
    *("\u2028", "\u2029", "\u202e", "\u2060", "\ufeff", "\ufffd", "\ufdd0", "\ue000", "\U000e0001"),
    *("\u180e", "\u0600", "\U000f1234", "\U0010fffd"),
)
SPACES = (" ", "  ", "    ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u1680", "\u205f", " \n ")
EMOJI = ("👍", "👨‍👩‍👧", "🇨🇭", "❤️", "🏳️‍🌈", "👩🏽‍💻", "🫠")
PUNCTUATION = (*".,;:!?'\"()[]{}<>-_/\\@#$%^&*+=|~`", "…", "—", "«", "»", "。", "、", "“", "’", "¿")
ACIDS = ("ACGT", "acgtn", "ATGGCCATTG", "NNNN")


def fragments(special: tuple[str, ...]) -> tuple[str, ...]:
    """Returns what texts are put together of; `special` are tokens that a text may hold."""
    words = (*WORDS, *(word.upper() for word in WORDS[:9]), *(w.title() for w in WORDS[9:19]))
    broken = (
        "[MASK",
        "MASK]",
        "[mask]",
        "[ MASK ]",
        "]]",
        "##ing",
        "##",
        "don't n't 's",
        "a .",
        " ' ",
    )
    return (
        *words * 2,
        *SCRIPTS * 2,
        *MARKS,
        *CONTROLS,
        *SPACES * 9,
        *EMOJI,
        *PUNCTUATION,
        *ACIDS,
        *special * 3,
        *broken,
        "",
    )


def texts(count: int, special: tuple[str, ...] = ("[MASK]", "[SEP]", "[CLS]")) -> list[str]:
    """Returns `count` random texts, and every 331st code point, alone and between letters."""
    rng = random.Random(41)
    parts = fragments(special)
    made = ["".join(rng.choices(parts, k=rng.randrange(14))) for _ in range(count)]
    points = [p for p in range(1, 0x110000, 331) if not 0xD800 <= p < 0xE000]
    made += [f"a{chr(p)}b {chr(p)}" for p in points]
    # Words of the limit's length, longer ones, and very long ones.
    made += ["a" * n for n in (99, 100, 101, 400, 401)] + ["é" * n for n in (99, 100, 101)]
    made += [
        "猫" * 101,
        "x" * 5003,
        "ab " * 907,
        "\u0301" * 301,
        "ю" * 3001,
        "a" + "\u200b" * 200 + "b",
    ]
    return made


def training_texts() -> list[str]:
    """Returns what the tests' vocabularies are trained on."""
    rng = random.Random(43)
    parts = [*WORDS * 4, *(part for script in SCRIPTS for part in script.split())]
    return [" ".join(rng.choices(parts, k=17)) for _ in range(301)]


def byte_offsets(text: str, offsets: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Returns offsets that count characters as such that count bytes."""
    at = [0]
    for character in text:
        at.append(at[-1] + len(character.encode("utf-8")))
    return [(at[begin], at[end]) for begin, end in offsets]


def assert_same(ours, backend, texts, detokenized: bool = True) -> None:
    """Compares ids, offsets and decoded texts with those of the library `tokenizers`."""
    expected = backend.encode_batch(texts, add_special_tokens=False)
    ids, starts, ends = (x.to_list() for x in ours.tokenize_with_offsets(texts))
    wrong = []
    for text, theirs, mine, begin, end in zip(texts, expected, ids, starts, ends, strict=True):
        spans = list(zip(begin, end, strict=True))
        if (mine, spans) != (theirs.ids, byte_offsets(text, theirs.offsets)):
            wrong.append(
                (text, theirs.tokens, [ours.id_to_token(i) for i in mine], theirs.offsets, spans)
            )
    assert not wrong, f"{len(wrong)} of {len(texts)} differ, such as {wrong[:3]}"
    if detokenized:
        rows = [encoding.ids for encoding in expected]
        decoded = backend.decode_batch(rows, skip_special_tokens=False)
        mine = [text.decode() for text in ours.detokenize(rows).numpy()]
        wrong = [pair for pair in zip(decoded, mine, strict=True) if pair[0] != pair[1]]
        assert not wrong, f"{len(wrong)} decoded texts differ, such as {wrong[:3]}"
