"""Attention alone, ours and the peers': queries, keys and values given, 12 heads of 64.

Each builder takes the length, the number of sequences, the dtype and how often attention is to be
applied, one after the other (the result is the next query). It gives a function for each mode that
the peer has, `"forward"` and `"forward+backward"`. Blocks of 64, 3 random blocks; the last 13 keys
are padding.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = [
    "BLOCK",
    "CAUSAL_PEERS",
    "HEADS",
    "HEAD_SIZE",
    "MODES",
    "PEERS",
    "RANDOM",
    "padding_mask",
]

HEADS, HEAD_SIZE, BLOCK, RANDOM = 12, 64, 64, 3
MODES = ("forward", "forward+backward")


class Peer(NamedTuple):
    """What is measured, and where it can be.

    Attributes:
        build: The builder.
        shortest: The shortest length that it is for.
        longest: The longest: dense scores would not fit into memory, or take minutes.
        modes: What it has of `MODES`.
    """

    build: Callable
    shortest: int = 0
    longest: int = 2**20
    modes: tuple[str, ...] = MODES

    def takes(self, length: int) -> bool:
        """Returns whether a length is among those."""
        return self.shortest <= length <= self.longest


def padding_mask(length: int, batch: int) -> np.ndarray:
    """Returns the mask of keys, 0 for the last 13."""
    mask = np.ones((batch, length), "float32")
    mask[:, length - 13 :] = 0
    return mask


def _arrays(*shape: int) -> list[np.ndarray]:
    """Returns query, key, value and what flows back."""
    rng = np.random.RandomState(0)
    return [rng.randn(*shape).astype("float32") for _ in range(4)]


def _tensorflow_modes(attention, shape, dtype, layers, jit_compile):
    import tensorflow as tf

    *tensors, grad_output = (tf.cast(x, dtype) for x in _arrays(*shape))

    def stacked(query, key, value):
        for _ in range(layers):
            query = tf.reshape(attention(query, key, value), shape)
        return query

    def gradient(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            output = stacked(*tensors)
        return tape.gradient(output, tensors, output_gradients=grad_output)

    forward = tf.function(stacked, jit_compile=jit_compile)
    backward = tf.function(gradient, jit_compile=jit_compile)
    return {
        "forward": lambda: forward(*tensors)[0, 0, 0, 0].numpy(),
        "forward+backward": lambda: [x[0, 0, 0, 0].numpy() for x in backward(*tensors)],
    }


def ours(length, batch, dtype, layers, jit_compile=False, is_causal=False):
    """The sparse products, at every length."""
    import tensorflow as tf

    from bigbird_tf import BlockPattern
    from bigbird_tf.attention.kernels.attention_weights import MASKED
    from bigbird_tf.attention.kernels.chunked import block_sparse_attention

    bias = tf.constant((1 - padding_mask(length, batch)) * np.float32(MASKED))
    pattern = BlockPattern.build(
        length // BLOCK, HEADS, num_random_blocks=RANDOM, is_causal=is_causal
    )

    def attention(query, key, value):
        return block_sparse_attention(
            query, key, value, bias, pattern.slots, BLOCK, scale=HEAD_SIZE**-0.5
        )

    shape = batch, HEADS, length, HEAD_SIZE
    return _tensorflow_modes(attention, shape, dtype, layers, jit_compile)


def ours_with_global_tokens(length, batch, dtype, layers, members=False):
    """230 global tokens beside the sequence, blocks of 84, none random: the paper's ETC."""
    import tensorflow as tf

    from bigbird_tf import BigBirdConfig, BlockPattern
    from bigbird_tf.attention.kernels.attention_weights import MASKED
    from bigbird_tf.attention.kernels.chunked import block_sparse_attention
    from bigbird_tf.layers.etc_encoder import membership_bias

    config = BigBirdConfig(
        construction="etc",
        num_global_tokens=230,
        num_random_blocks=0,
        block_size=84,
        num_attention_heads=HEADS,
    )
    room, block = config.global_length, config.block_size
    num_blocks = config.pattern_spec().num_blocks(room + length)
    mask = np.ones((batch, num_blocks * block), "float32")
    mask[:, config.num_global_tokens : room] = 0
    mask[:, room + length - 13 :] = 0
    bias = tf.constant((1 - mask) * np.float32(MASKED))
    slots = BlockPattern.of(config.pattern_spec(), num_blocks).slots
    global_bias = None
    if members:
        of_paragraphs = np.arange(num_blocks * block - room, dtype=np.int32) // 50
        of_paragraphs = np.minimum(of_paragraphs, config.num_global_tokens - 1)
        global_bias = membership_bias(tf.constant(np.stack([of_paragraphs] * batch)), room)

    def attention(query, key, value):
        return block_sparse_attention(
            *(query, key, value, bias, slots, block),
            scale=HEAD_SIZE**-0.5,
            global_bias=global_bias,
        )

    shape = batch, HEADS, num_blocks * block, HEAD_SIZE
    return _tensorflow_modes(attention, shape, dtype, layers, False)


def keras_full(length, batch, dtype, layers):
    """What Keras' layer does between its projections, as a graph."""
    import keras

    shape = batch, length, HEADS, HEAD_SIZE
    layer = keras.layers.MultiHeadAttention(HEADS, HEAD_SIZE, dtype=dtype)
    layer.build((batch, length, HEADS * HEAD_SIZE), (batch, length, HEADS * HEAD_SIZE))
    mask = padding_mask(length, batch)[:, None] > 0

    def attention(query, key, value):
        return layer._compute_attention(query, key, value, attention_mask=mask)[0]

    return _tensorflow_modes(attention, shape, dtype, layers, False)


def model_garden(length, batch, dtype, layers, jit_compile=False):
    """The function of `tf-models-official`."""
    import tensorflow as tf
    from official.nlp.modeling.layers import bigbird_attention as peer

    shape = batch, length, HEADS, HEAD_SIZE
    masks = peer.BigBirdMasks(BLOCK)(tf.zeros(shape), tf.constant(padding_mask(length, batch)))
    masks = [tf.cast(x, dtype) for x in masks]
    layer = peer.BigBirdAttention(
        num_heads=HEADS, key_dim=HEAD_SIZE, num_rand_blocks=RANDOM, max_rand_mask_length=length
    )

    def attention(query, key, value):
        return layer._compute_attention(query, key, value, masks)

    return _tensorflow_modes(attention, shape, dtype, layers, jit_compile)


def _torch_modes(attention, length, batch, dtype, layers):
    """Modes of a function of tensors `(B, N, T, H)`, whose result is `(B, T, N, H)` in memory."""
    import torch

    arrays = _arrays(batch, HEADS, length, HEAD_SIZE)
    *tensors, grad_output = (torch.tensor(x).to(getattr(torch, dtype)) for x in arrays)

    def stacked(query, key, value):
        for _ in range(layers):
            query = attention(query, key, value)
        return query

    def forward():
        with torch.no_grad():
            stacked(*tensors)

    def backward():
        leaves = [x.clone().requires_grad_() for x in tensors]
        torch.autograd.grad(stacked(*leaves), leaves, grad_output)

    return {"forward": forward, "forward+backward": backward}


def torch_fused(length, batch, dtype, layers, is_causal=False):
    """Fused full attention, without padding, for which it is fastest."""
    import torch

    attention = functools.partial(
        torch.nn.functional.scaled_dot_product_attention, is_causal=is_causal
    )
    return _torch_modes(attention, length, batch, dtype, layers)


def torch_flex(length, batch, dtype, layers):
    """PyTorch's compiled `flex_attention` with the blocks of our pattern; a repeat counts once."""
    import torch
    from torch.nn.attention.flex_attention import BlockMask, flex_attention

    from bigbird_tf import BlockPattern

    pattern = BlockPattern.build(length // BLOCK, HEADS, num_random_blocks=RANDOM)
    is_read = torch.tensor(pattern.to_dense_mask() > 0)
    # Padding is in the last key block, so the others are read as a whole: without a mask.
    is_partial = torch.zeros_like(is_read)
    is_partial[..., -1] = is_read[..., -1]

    def listed(blocks):
        order = torch.argsort(blocks.int(), dim=-1, descending=True, stable=True)
        return blocks.sum(-1, dtype=torch.int32)[None], order.int()[None]

    mask = BlockMask.from_kv_blocks(
        *listed(is_partial),
        *listed(is_read & ~is_partial),
        BLOCK_SIZE=BLOCK,
        mask_mod=lambda batch, head, query, key: key < length - 13,
        seq_lengths=(length, length),
    )
    # Compiled anew at each length; there are more lengths than it would be by itself. On a GPU the
    # tiles that it takes unasked are larger than our blocks: it has to look for others.
    torch.compiler.reset()
    mode = "max-autotune-no-cudagraphs" if torch.cuda.is_available() else None
    compiled = torch.compile(flex_attention, dynamic=False, fullgraph=True, mode=mode)
    modes = _torch_modes(
        lambda *tensors: compiled(*tensors, block_mask=mask), length, batch, dtype, layers
    )
    return modes if torch.cuda.is_available() else {"forward": modes["forward"]}


def _transformers_heads(x, length, batch):
    return x.reshape(batch, length, HEADS, HEAD_SIZE).transpose(1, 2)


def transformers_full(length, batch, dtype, layers, is_causal=False):
    """`original_full` of `transformers`, its projections replaced by the identity."""
    import torch
    from transformers import BigBirdConfig
    from transformers.models.big_bird.modeling_big_bird import BigBirdSelfAttention

    class Given(torch.nn.Module):
        """Returns what it was given, in place of a projection."""

        def forward(self, _):
            return self.given

    layer = BigBirdSelfAttention(BigBirdConfig(attention_type="original_full")).eval()
    layer.query, layer.key, layer.value = Given(), Given(), Given()
    kind = getattr(torch, dtype)
    bias = torch.tensor((1 - padding_mask(length, batch)) * -1e4)[:, None, None].to(kind)
    if is_causal:
        after = torch.triu(torch.ones(length, length, dtype=torch.bool), 1)
        bias = bias.masked_fill(after, torch.finfo(kind).min)
    like = torch.empty(batch, length, HEADS * HEAD_SIZE)

    def attention(*tensors):
        for given, x in zip((layer.query, layer.key, layer.value), tensors, strict=True):
            given.given = x.transpose(1, 2)
        return _transformers_heads(layer(like, attention_mask=bias)[0], length, batch)

    return _torch_modes(attention, length, batch, dtype, layers)


def transformers_sparse(length, batch, dtype, layers):
    """`block_sparse` of `transformers`, with the random blocks of evaluation."""
    import torch
    from transformers import BigBirdConfig
    from transformers.models.big_bird.modeling_big_bird import (
        BigBirdBlockSparseAttention,
        BigBirdModel,
    )

    config = BigBirdConfig(block_size=BLOCK, num_random_blocks=RANDOM)
    layer = BigBirdBlockSparseAttention(config, seed=0).eval()
    mask = torch.tensor(padding_mask(length, batch))
    masks = BigBirdModel.create_masks_for_block_sparse_attn(mask, BLOCK)
    blocked, band, from_mask, to_mask = (x.to(getattr(torch, dtype)) for x in masks)

    def attention(query, key, value):
        context = layer.bigbird_block_sparse_attention(
            *(query, key, value, band, from_mask, to_mask, blocked, blocked),
            *(HEADS, RANDOM, HEAD_SIZE, BLOCK, BLOCK, batch, length, length),
            seed=0,
            plan_from_length=None,
            plan_num_rand_blocks=None,
        )[0]
        return _transformers_heads(context, length, batch)

    return _torch_modes(attention, length, batch, dtype, layers)


PEERS = {
    "bigbird_tf graph": Peer(ours),
    "bigbird_tf XLA": Peer(lambda *a: ours(*a, jit_compile=True)),
    "bigbird_tf ETC": Peer(ours_with_global_tokens),
    "bigbird_tf ETC by members": Peer(lambda *a: ours_with_global_tokens(*a, members=True)),
    # It needs more than 11 blocks, and holds a dense length × length matrix.
    "transformers block_sparse": Peer(transformers_sparse, 12 * BLOCK, 8192),
    "transformers original_full": Peer(transformers_full, longest=4096),
    "Model Garden graph": Peer(model_garden),
    "Model Garden XLA": Peer(lambda *a: model_garden(*a, jit_compile=True)),
    "torch fused full attention": Peer(torch_fused, longest=8192),
    # On CPUs it has no backward pass, and needs a C++ compiler.
    "torch compiled flex_attention": Peer(torch_flex, 2 * BLOCK, modes=MODES[:1]),
    "Keras MultiHeadAttention": Peer(keras_full, longest=4096),
}
# Of decoders. `transformers` holds dense scores.
CAUSAL_PEERS = {
    "bigbird_tf graph": Peer(functools.partial(ours, is_causal=True)),
    "transformers original_full": Peer(
        functools.partial(transformers_full, is_causal=True), longest=4096
    ),
    "torch fused full attention": Peer(
        functools.partial(torch_fused, is_causal=True), longest=8192
    ),
}
