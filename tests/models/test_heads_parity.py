"""Each head against live `transformers`."""

import numpy as np
import pytest

import bigbird_tf
from bigbird_tf import BigBirdConfig
from tests.models import peer
from tests.models.test_transformers_parity import CLASSES

pytestmark = pytest.mark.parity

LENGTHS = (128, 704, 705, 1024, 1500, 2048, 4096)
VOCABULARY, SEPARATOR = 97, 66
HEADS = (
    "BigBirdModel",
    "BigBirdForPreTraining",
    "BigBirdForMaskedLM",
    "BigBirdForCausalLM",
    "BigBirdForSequenceClassification",
    "BigBirdForMultipleChoice",
    "BigBirdForTokenClassification",
    "BigBirdForQuestionAnswering",
)


def config_of(name, **fields) -> BigBirdConfig:
    """A small config; blocks of 64 and three random ones, as the lengths are about them."""
    small = {
        "vocab_size": VOCABULARY,
        "hidden_size": 42,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 37,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "sep_token_id": SEPARATOR,
    }
    if name == "BigBirdForCausalLM":
        small |= {"is_decoder": True, "attention_type": "original_full"}
    if "Classification" in name:
        small["num_labels"] = 5
    return BigBirdConfig(**{**small, **fields})


def inputs_of(name, length, seed=0, batch=2) -> dict[str, np.ndarray]:
    """Inputs with one sequence shorter than the others by some part of a block."""
    rng = np.random.default_rng(seed)
    choices = 2 if name == "BigBirdForMultipleChoice" else None
    rows = choices or batch
    ids = rng.integers(SEPARATOR + 1, VOCABULARY, (rows, length))
    ids[:, 17] = SEPARATOR
    mask = np.ones((rows, length), dtype=int)
    mask[-1, length - 29 :] = 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    if name != "BigBirdForQuestionAnswering":
        inputs["token_type_ids"] = rng.integers(0, 2, (rows, length))
    return {key: value[None] for key, value in inputs.items()} if choices else inputs


# Of the others, `test_transformers_parity` compares them at these lengths.
@pytest.mark.parametrize("name", [name for name in HEADS if name not in CLASSES])
def test_outputs(name, tmp_path):
    # The two logits of choices come from the pooled vector alone, and would be small.
    scale = 6.0 if name == "BigBirdForMultipleChoice" else 3.0
    theirs = peer.make(name, config_of(name), scale)
    for random_blocks in ("seeded", "first_block"):
        ours = peer.ours_of(theirs, tmp_path, inference_random_blocks=random_blocks)
        sizes = []
        for length in LENGTHS:
            inputs = inputs_of(name, length, seed=length)
            sizes.append(peer.assert_same_outputs(ours, theirs, inputs, random_blocks))
        # The outputs are not so small that anything would pass.
        assert max(sizes) > 0.1


@pytest.mark.parametrize("name", HEADS)
def test_ours_loads_there(name, tmp_path):
    ours = getattr(bigbird_tf, name)(
        config_of(name, random_plan="transformers", inference_random_blocks="first_block")
    )
    rng = np.random.default_rng(3)
    for weight in ours.weights:
        weight.assign(weight + 0.1 * rng.normal(size=weight.shape))
    ours.save_pretrained(tmp_path)
    theirs, report = peer.load(name, tmp_path)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        assert not report.get(problem), problem
    peer.assert_same_outputs(ours, theirs, inputs_of(name, 773), "first_block")


@pytest.mark.parametrize(
    ("hidden_size", "num_heads", "block_size", "num_random_blocks"),
    [(66, 11, 64, 3), (35, 5, 16, 2), (26, 13, 32, 1)],
)
def test_other_sizes(hidden_size, num_heads, block_size, num_random_blocks, tmp_path):
    name = "BigBirdForMaskedLM"
    config = config_of(
        name,
        hidden_size=hidden_size,
        num_attention_heads=num_heads,
        block_size=block_size,
        num_random_blocks=num_random_blocks,
    )
    theirs = peer.make(name, config)
    for random_blocks, length in (("seeded", 1024), ("first_block", 705)):
        ours = peer.ours_of(theirs, tmp_path, inference_random_blocks=random_blocks)
        peer.assert_same_outputs(ours, theirs, inputs_of(name, length), random_blocks)


def test_overrides(tmp_path):
    """`num_random_blocks=2, block_size=16` and the like, as users of `transformers` write it."""
    import transformers

    name = "BigBirdForTokenClassification"
    peer.save(peer.make(name, config_of(name)), tmp_path)
    sparser = {"num_random_blocks": 2, "block_size": 16}
    for overrides in (sparser, {"attention_type": "original_full"}):
        theirs = getattr(transformers, name).from_pretrained(tmp_path, **overrides)
        ours = getattr(bigbird_tf, name).from_pretrained(
            tmp_path,
            random_plan="transformers",
            inference_random_blocks="first_block",
            **overrides,
        )
        peer.assert_same_outputs(ours, theirs, inputs_of(name, 741), "first_block")


def test_rescaled_embeddings_without_biases(tmp_path):
    name = "BigBirdForSequenceClassification"
    config = config_of(name, rescale_embeddings=True, use_bias=False, hidden_act="gelu")
    theirs = peer.make(name, config, scale=2.0)
    ours = peer.ours_of(theirs, tmp_path, inference_random_blocks="first_block")
    peer.assert_same_outputs(ours, theirs, inputs_of(name, 900), "first_block")


def test_large(tmp_path):
    """24 layers, 1024 wide; the vocabulary and the feed-forward layers are small."""
    name = "BigBirdModel"
    config = config_of(
        name,
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=512,
    )
    theirs = peer.make(name, config, scale=1.5)
    ours = peer.ours_of(theirs, tmp_path, inference_random_blocks="seeded")
    inputs = inputs_of(name, 1500, batch=1)
    assert peer.assert_same_outputs(ours, theirs, inputs, "seeded") > 1


@pytest.fixture
def eager_functions():
    """Without compiling for each set of options; that compiled is the same, other tests show."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


class TestGenerate:
    """Prompts have their padding on the left, as their `generate` wants it."""

    prompts = np.random.default_rng(5).integers(3, 31, (3, 11))
    mask = np.ones((3, 11), dtype=int)
    mask[1, :4] = 0
    mask[2, :9] = 0
    prompts[mask == 0] = 0
    stops = (2, 7, 9, 12, 15, 20, 23)

    def models(self, seed, tmp_path):
        import torch

        name = "BigBirdForCausalLM"
        config = config_of(
            name, vocab_size=31, max_position_embeddings=64, sep_token_id=5, hidden_size=21
        )
        theirs = peer.make(name, config, scale=6.0, seed=seed).eval()
        with torch.no_grad():
            # What pads does not come by itself: with n-grams, they count padding as tokens.
            theirs.cls.predictions.bias[0] = -50.0
        return peer.ours_of(theirs, tmp_path), theirs

    def compare(self, ours, theirs, stops=stops, **options) -> tuple[np.ndarray, list[int]]:
        """Asserts that both give the same tokens; gives them and the lengths of the rows."""
        import torch

        prompts = {"input_ids": self.prompts, "attention_mask": self.mask}
        expected = theirs.generate(
            **{key: torch.tensor(value) for key, value in prompts.items()},
            max_new_tokens=13,
            do_sample=False,
            eos_token_id=list(stops),
            pad_token_id=0,
            **options,
        ).numpy()[:, 11:]
        tokens = ours.generate(prompts, 13, stop_token_ids=stops, **options).numpy()
        lengths = []
        for mine, other in zip(tokens.tolist(), expected.tolist(), strict=True):
            ends = [i for i, token in enumerate(other) if token in stops]
            length = ends[0] + 1 if ends else 13
            # What follows the end is up to each library.
            assert mine == [*other[:length], *[0] * (13 - length)], options
            lengths.append(length)
        return tokens, lengths

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_greedy_and_beams(self, seed, tmp_path):
        ours, theirs = self.models(seed, tmp_path)
        lengths = set()
        for options in (
            {},
            {"num_beams": 4},
            {"num_beams": 3, "length_penalty": -1.0},
            {"num_beams": 5, "length_penalty": 2.0},
        ):
            lengths |= set(self.compare(ours, theirs, **options)[1])
        assert len(lengths) > 1

    def test_early_stopping(self, tmp_path, eager_functions):
        ours, theirs = self.models(1, tmp_path)
        found, lengths = {}, set()
        for num_beams, length_penalty, ngram_size in (
            (4, 0.0, 2),
            (4, 2.0, 0),
            (5, 0.8, 0),
            (5, 2.0, 3),
        ):
            for early_stopping in (False, True, "never"):
                tokens, rows = self.compare(
                    ours,
                    theirs,
                    num_beams=num_beams,
                    num_return_sequences=3,
                    length_penalty=length_penalty,
                    no_repeat_ngram_size=ngram_size,
                    early_stopping=early_stopping,
                )
                found.setdefault(early_stopping, []).append(tokens.tolist())
                lengths |= set(rows)
        assert len(lengths) > 2
        for a, b in ((False, True), (False, "never"), (True, "never")):
            assert found[a] != found[b], (a, b)

    @pytest.mark.parametrize("beams", [{}, {"num_beams": 4, "num_return_sequences": 3}], ids=str)
    def test_rules(self, beams, tmp_path, eager_functions):
        ours, theirs = self.models(1, tmp_path)
        free, _ = self.compare(ours, theirs, **beams)
        for options in (
            {"repetition_penalty": 2.5},
            {"repetition_penalty": 0.6},
            {"no_repeat_ngram_size": 1},
            {"no_repeat_ngram_size": 2},
            {"no_repeat_ngram_size": 3, "repetition_penalty": 0.6},
            {"min_new_tokens": 6},
            {"min_new_tokens": 13},
            {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "min_new_tokens": 4},
            {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "min_new_tokens": 9},
        ):
            tokens, lengths = self.compare(ours, theirs, **options, **beams)
            assert (tokens != free).any(), f"nothing that {options} would change"
            assert min(lengths) >= options.get("min_new_tokens", 1)
