"""Summaries against live `transformers`, token by token."""

import numpy as np
import pytest

from bigbird_tf import BigBirdPegasusConfig
from tests.models import peer

pytestmark = pytest.mark.parity

NEW = 13
STOPS = (1, 7, 9, 12, 15, 20)
# Long enough for sparse attention with these blocks; full, and padded twice.
LENGTH = 200
RNG = np.random.default_rng(5)
MASK = np.arange(LENGTH) < np.array([[LENGTH], [150], [31]])
IDS = np.where(MASK, RNG.integers(3, 31, (3, LENGTH)), 0)


def config_of(encoder_layers=1, **fields) -> BigBirdPegasusConfig:
    return BigBirdPegasusConfig(
        vocab_size=31,
        d_model=24,
        encoder_layers=encoder_layers,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=3,
        encoder_ffn_dim=37,
        decoder_ffn_dim=29,
        dropout=0.0,
        block_size=16,
        max_position_embeddings=256,
        scale_embedding=False,
        **fields,
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    import torch

    name = "BigBirdPegasusForConditionalGeneration"
    theirs = peer.make(name, config_of(), scale=6.0).eval()
    with torch.no_grad():
        # Or each token would be as the one before: logits are products with the words read.
        theirs.model.decoder.embed_positions.weight.mul_(8.0)
        theirs.final_logits_bias.mul_(0.3)
    folder = tmp_path_factory.mktemp("generation")
    return peer.ours_of(theirs, folder, inference_random_blocks="first_block"), theirs


@pytest.fixture
def eager_functions():
    """Without compiling for each set of options; that compiled is the same, other tests show."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def compare(models, **options) -> tuple[list, list[int]]:
    """Asserts that both give the same tokens; returns them and the lengths of the rows."""
    import torch

    ours, theirs = models
    documents = {"input_ids": IDS, "attention_mask": MASK.astype(int)}
    expected = theirs.generate(
        **{key: torch.tensor(value) for key, value in documents.items()},
        max_new_tokens=NEW,
        do_sample=False,
        eos_token_id=list(STOPS),
        **options,
    ).numpy()[:, 1:]
    tokens = ours.generate(documents, NEW, stop_token_ids=STOPS, **options).numpy().tolist()
    return tokens, lengths_of_equal(tokens, expected, options)


def lengths_of_equal(tokens: list, expected: np.ndarray, options: dict) -> list[int]:
    """Asserts that rows are equal up to their ends, and returns their lengths."""
    lengths = []
    for mine, other in zip(tokens, expected.tolist(), strict=True):
        ends = [i for i, token in enumerate(other) if token in STOPS]
        length = ends[0] + 1 if ends else NEW
        # What follows the end is up to each library.
        assert mine == [*other[:length], *[0] * (NEW - length)], options
        lengths.append(length)
    return lengths


def test_greedy(models, eager_functions):
    found = [compare(models, no_repeat_ngram_size=size) for size in (0, 1, 2)]
    # Rows end at different steps, and the rule changes something.
    assert len({length for _, lengths in found for length in lengths}) > 1
    assert found[0][0] != found[1][0]


def test_beams(models, eager_functions):
    found, lengths = {}, set()
    for length_penalty in (0.0, 0.8, 2.0):
        # Each two values of two arguments come together.
        for num_beams, early_stopping, ngram_size in (
            (4, False, 0),
            (4, True, 2),
            (5, False, 2),
            (5, True, 0),
        ):
            tokens, rows = compare(
                models,
                num_beams=num_beams,
                num_return_sequences=2,
                length_penalty=length_penalty,
                early_stopping=early_stopping,
                no_repeat_ngram_size=ngram_size,
            )
            found[length_penalty, num_beams, early_stopping] = tokens
            lengths |= set(rows)
    compare(models, num_beams=4, length_penalty=2.0, early_stopping="never")
    # Rows end at different steps, and each argument changes something.
    assert len(lengths) > 2
    assert found[0.0, 4, False] != found[2.0, 4, False]
    assert found[2.0, 5, False] != found[2.0, 5, True]


def test_continuations(eager_functions, tmp_path):
    """Of the decoder alone; prompts of one length, since theirs counts padding as positions."""
    import torch

    # `transformers` 5.24 makes caches of as many layers as an encoder would have.
    config = config_of(encoder_layers=2, tie_word_embeddings=False)
    theirs = peer.make("BigBirdPegasusForCausalLM", config, scale=6.0).eval()
    ours = peer.ours_of(theirs, tmp_path)
    prompts = RNG.integers(3, 31, (4, 9))
    beams = {"num_beams": 4, "num_return_sequences": 2}
    found, lengths = [], set()
    for options in (
        {},
        {"no_repeat_ngram_size": 2, "repetition_penalty": 1.3, "min_new_tokens": 4},
        {**beams, "length_penalty": 0.0},
        {**beams, "length_penalty": 2.0, "early_stopping": True, "no_repeat_ngram_size": 3},
    ):
        expected = theirs.generate(
            input_ids=torch.tensor(prompts),
            attention_mask=torch.ones(4, 9, dtype=torch.long),
            max_new_tokens=NEW,
            do_sample=False,
            eos_token_id=list(STOPS),
            pad_token_id=0,
            **options,
        ).numpy()[:, 9:]
        tokens = ours.generate(prompts, NEW, stop_token_ids=STOPS, **options).numpy().tolist()
        found.append(tokens)
        lengths |= set(lengths_of_equal(tokens, expected, options))
    assert len(lengths) > 2
    assert found[0] != found[1]
    assert found[2] != found[3]


def test_forced_ids(models, eager_functions):
    """First and last tokens, in spite of all else."""
    forced = {"forced_bos_token_id": 5, "forced_eos_token_id": 1}
    rows, _ = compare(models, **forced)
    assert [row[0] for row in rows] == [5] * 3
    rows, lengths = compare(models, num_beams=4, length_penalty=2.0, **forced)
    assert {row[length - 1] for row, length in zip(rows, lengths, strict=True)} & {1}


def test_generation_config(models, tmp_path):
    """Written by theirs, obeyed by ours, written by ours and read by theirs."""
    import torch
    import transformers

    said = {"num_beams": 3, "length_penalty": 2.0, "max_length": 7, "no_repeat_ngram_size": 2}
    said |= {"forced_bos_token_id": 5, "eos_token_id": [1, 9], "early_stopping": True}
    theirs = models[1]
    before = theirs.generation_config
    theirs.generation_config = transformers.GenerationConfig(
        pad_token_id=0, bos_token_id=2, decoder_start_token_id=2, **said
    )
    try:
        ours = peer.ours_of(theirs, tmp_path / "theirs", inference_random_blocks="first_block")
        expected = theirs.generate(
            input_ids=torch.tensor(IDS), attention_mask=torch.tensor(MASK.astype(int))
        ).numpy()[:, 1:]
    finally:
        theirs.generation_config = before
    tokens = ours.generate({"input_ids": IDS, "attention_mask": MASK}).numpy()
    assert tokens.shape == (3, 6)
    assert tokens[:, : expected.shape[1]].tolist() == expected.tolist()
    assert not tokens[:, expected.shape[1] :].any()
    ours.save_pretrained(tmp_path / "ours")
    again = transformers.GenerationConfig.from_pretrained(tmp_path / "ours")
    assert {name: getattr(again, name) for name in said} == said


def test_what_the_config_says(models, tmp_path):
    """Both take what is not given from the config, whose lengths count the start token."""
    import torch

    said = {"num_beams": 5, "length_penalty": 0.8, "max_length": 9, "no_repeat_ngram_size": 3}
    ours, theirs = models
    generation_config = theirs.generation_config
    for name, value in said.items():
        setattr(generation_config, name, value)
    try:
        expected = theirs.generate(
            input_ids=torch.tensor(IDS), attention_mask=torch.tensor(MASK.astype(int))
        ).numpy()[:, 1:]
    finally:
        for name in said:
            setattr(generation_config, name, None)
    config = ours.config
    ours.config = config.replace(extra=said)
    try:
        tokens = ours.generate({"input_ids": IDS, "attention_mask": MASK}).numpy()
    finally:
        ours.config = config
    assert tokens.shape == (3, 8)
    assert tokens[:, : expected.shape[1]].tolist() == expected.tolist()
