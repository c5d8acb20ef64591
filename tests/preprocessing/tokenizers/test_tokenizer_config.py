"""`tokenizer_config.json` of vocabularies of SentencePiece, as it is written and read."""

import json

import pytest

from bigbird_tf.preprocessing.tokenizers.tokenizer_config import (
    read_stripped_pieces,
    write_tokenizer_config,
)


def test_what_is_written(tmp_path):
    path = tmp_path / "tokenizer_config.json"
    write_tokenizer_config(
        path,
        {"mask_token": "[MASK]", "pad_token": "<pad>"},
        {9: "<plain>", 3: "[MASK]", 0: "<pad>", 8: "<further>"},
        lstrip=["[MASK]"],
        rstrip=["<further>"],
        # What is read once only must do, too.
        further=iter(["<further>"]),
        tokenizer_class="PegasusTokenizer",
        settings={"offset": 0},
    )

    def token(content, *flags):
        names = ("lstrip", "normalized", "rstrip", "single_word", "special")
        return {"content": content, **{name: name in flags for name in names}}

    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == {
        "tokenizer_class": "PegasusTokenizer",
        "mask_token": "[MASK]",
        "pad_token": "<pad>",
        "offset": 0,
        "additional_special_tokens": ["<further>"],
        "added_tokens_decoder": {
            "0": token("<pad>", "special"),
            "3": token("[MASK]", "special", "lstrip"),
            "8": token("<further>", "special", "rstrip"),
            "9": token("<plain>"),
        },
    }
    assert text.endswith("}\n")
    assert read_stripped_pieces(path) == {"lstrip": ["[MASK]"], "rstrip": ["<further>"]}


def test_without_settings_it_is_big_birds(tmp_path):
    path = tmp_path / "tokenizer_config.json"
    write_tokenizer_config(path, {"unk_token": "<unk>"}, {}, [], [])
    assert json.loads(path.read_text()) == {
        "tokenizer_class": "BigBirdTokenizer",
        "unk_token": "<unk>",
        "added_tokens_decoder": {},
    }


@pytest.mark.parametrize(
    ("content", "mask_token", "expected"),
    [
        ({}, None, ([], [])),
        # A mask token of which nothing is said takes the space before it.
        ({}, "[M]", (["[M]"], [])),
        ({"mask_token": "[M]"}, "[M]", (["[M]"], [])),
        ({"mask_token": {"content": "[M]", "rstrip": True}}, "[M]", ([], ["[M]"])),
        # The list counts, not what stands by its own name.
        (
            {
                "added_tokens_decoder": {"3": {"content": "[M]", "lstrip": False}},
                "mask_token": {"content": "[M]", "lstrip": True},
                "sep_token": {"content": "[S]", "lstrip": True, "rstrip": True},
            },
            "[M]",
            (["[S]"], ["[S]"]),
        ),
    ],
)
def test_pieces_that_take_spaces(tmp_path, content, mask_token, expected):
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(content))
    lstrip, rstrip = expected
    assert read_stripped_pieces(path, mask_token) == {"lstrip": lstrip, "rstrip": rstrip}


@pytest.mark.parametrize("text", ["[]", "{", '{"added_tokens_decoder": [3]}'])
def test_other_files(tmp_path, text):
    path = tmp_path / "tokenizer_config.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"must be a tokenizer_config\.json\. Received: "):
        read_stripped_pieces(path)
