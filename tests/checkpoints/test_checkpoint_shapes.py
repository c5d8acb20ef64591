"""Shapes of checkpoints that people have, other than the published ones, against `transformers`."""

import numpy as np
import pytest

from bigbird_tf import BigBirdForMaskedLM

pytestmark = pytest.mark.parity
TOLERANCE = 1e-4
# What each differs in, and a length at which its attention is sparse.
SHAPES = {
    # Two rows for added tokens behind a vocabulary, as 50358 and 50360.
    "extra rows": ({"vocab_size": 61}, 150, {"resize": 63}),
    "one token type": ({"type_vocab_size": 1}, 150, {}),
    "many token types": ({"type_vocab_size": 164}, 150, {}),
    "blocks of 32": ({"block_size": 32, "max_position_embeddings": 320}, 300, {}),
    "blocks of 128": (
        {"block_size": 128, "num_random_blocks": 2, "max_position_embeddings": 1280},
        1240,
        {},
    ),
    "odd sizes": (
        {"hidden_size": 35, "num_attention_heads": 5, "intermediate_size": 17, "vocab_size": 97},
        150,
        {},
    ),
    "activation": ({"hidden_act": "quick_gelu"}, 150, {}),
    "no biases, rescaled": ({"use_bias": False, "rescale_embeddings": True}, 150, {}),
}


def make_theirs(fields, resize=None):
    import torch
    import transformers

    torch.manual_seed(5)
    config = transformers.BigBirdConfig(
        **{
            "vocab_size": 61,
            "hidden_size": 21,
            "num_attention_heads": 3,
            "num_hidden_layers": 2,
            "intermediate_size": 13,
            "block_size": 16,
            "num_random_blocks": 1,
            "max_position_embeddings": 160,
            "sep_token_id": 5,
            **fields,
        }
    )
    theirs = transformers.BigBirdForMaskedLM(config).eval()
    if resize:
        theirs.resize_token_embeddings(resize, mean_resizing=False)
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            parameter.normal_(mean=float("LayerNorm.weight" in name), std=0.2)
    return theirs


@pytest.mark.parametrize("shape", SHAPES)
def test_same_logits(shape, tmp_path):
    import torch

    fields, length, options = SHAPES[shape]
    theirs = make_theirs(fields, **options)
    theirs.config.save_pretrained(tmp_path)
    # The shape in which most of them are: no safetensors.
    torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    ours = BigBirdForMaskedLM.from_pretrained(
        tmp_path, random_plan="transformers", inference_random_blocks="first_block"
    )
    rng = np.random.default_rng(3)
    config = ours.config
    ids = rng.integers(6, config.vocab_size, size=(2, length))
    ids[0, :2] = config.vocab_size - 1, config.vocab_size - 2
    types = rng.integers(0, config.type_vocab_size, size=ids.shape)
    mask = (np.arange(length) < [[length], [length - 21]]).astype(np.int64)
    assert length > config.longest_full_attention
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    with torch.no_grad():
        expected = theirs(**{name: torch.tensor(x) for name, x in inputs.items()}).logits.numpy()
    found = np.asarray(ours(inputs))
    assert found.shape == expected.shape
    assert np.abs(found - expected)[mask == 1].max() <= TOLERANCE
