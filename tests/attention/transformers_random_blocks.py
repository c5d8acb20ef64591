"""The random blocks that the live `transformers` model uses."""

import numpy as np


def drawn_by_transformers(
    length: int, block_size: int, num_random_blocks: int, max_position_embeddings: int
) -> list[np.ndarray]:
    """Returns the tables of a model's first two layers, with two heads, in training.

    They are caught on their way through a forward pass, so that the library itself decides which of
    its plans applies.
    """
    import torch
    from transformers import BigBirdConfig, BigBirdModel
    from transformers.models.big_bird.modeling_big_bird import BigBirdBlockSparseAttention

    config = BigBirdConfig(
        vocab_size=7,
        hidden_size=2,
        num_attention_heads=2,
        num_hidden_layers=2,
        intermediate_size=3,
        max_position_embeddings=max_position_embeddings,
        block_size=block_size,
        num_random_blocks=num_random_blocks,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        sep_token_id=3,
    )
    caught = []
    original = BigBirdBlockSparseAttention._create_rand_mask_from_inputs

    def catch(from_blocked_mask, to_blocked_mask, rand_attn, *rest):
        caught.append(rand_attn[0].numpy().astype(np.int32))
        return original(from_blocked_mask, to_blocked_mask, rand_attn, *rest)

    model = BigBirdModel(config).train()
    for layer in model.encoder.layer:
        layer.attention.self._create_rand_mask_from_inputs = catch
    with torch.no_grad():
        model(torch.full((1, length), 5))
    assert len(caught) == 2
    return caught
