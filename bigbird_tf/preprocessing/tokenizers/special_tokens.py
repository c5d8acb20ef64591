"""Which tokens stand for what, in vocabularies that are no SentencePiece model."""

from collections.abc import Mapping

__all__ = ["BERT_TOKENS", "REQUIRED_TOKENS", "find_special_ids"]

# Where no file says so.
BERT_TOKENS = {
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "bos_token": None,
    "eos_token": None,
}
REQUIRED_TOKENS = ("cls_token", "sep_token", "pad_token")


def find_special_ids(
    special_tokens: Mapping[str, str | None],
    ids: Mapping[str, int],
    *,
    argument: str,
    num_tokens: int,
    required: tuple[str, ...] = REQUIRED_TOKENS,
) -> dict[str, int | None]:
    """Returns the ids of special tokens by name, such as `"cls_token"`; `None` for those without.

    Args:
        special_tokens: The tokens by name; `None` for names that have none.
        ids: The vocabulary's ids by token.
        argument: What has the vocabulary, for messages.
        num_tokens: Its size, for messages.
        required: Names of the tokens that it must have.

    Raises:
        ValueError: If it lacks one of them.
    """
    found = {}
    for name, token in special_tokens.items():
        index = None if token is None else ids.get(token)
        if index is None and name in required:
            raise ValueError(
                f"`{argument}` must have the {name}, {token!r}: every BigBird input needs it. "
                f"Pass `{name}`. Received: {num_tokens} tokens without it"
            )
        found[name] = index
    return found
