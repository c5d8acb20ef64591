"""Checks what encoder-decoders are called with."""

from keras import ops

from bigbird_tf.config import BigBirdPegasusConfig
from bigbird_tf.models.big_bird_pegasus.shifted_labels import shift_right
from bigbird_tf.models.inputs import read_inputs
from bigbird_tf.nn.backend import check_when_run
from bigbird_tf.types import Inputs

__all__ = ["DECODER_NAMES", "ENCODER_NAMES", "read_pair"]

ENCODER_NAMES = ("input_ids", "attention_mask")
DECODER_NAMES = ("decoder_input_ids", "decoder_attention_mask")


def read_pair(inputs: Inputs, config: BigBirdPegasusConfig) -> dict:
    """Returns a model's inputs as a dictionary of checked tensors.

    Letters: B batch, S length of the documents, T length of what the decoder reads.

    Args:
        inputs: A dictionary with `input_ids`, integers `(B, S)`, and optionally `attention_mask`
            `(B, S)`, `decoder_input_ids` and `decoder_attention_mask`, both `(B, T)`; or the ids of
            the documents alone.
        config: The model's config.

    Returns:
        A dictionary: ids int32, masks bool (true where there were none). Missing
        `decoder_input_ids` are the documents' ids behind the start token, as in `transformers`.

    Raises:
        ValueError: If a key is unknown or missing, a shape or dtype is wrong, or the sequences are
            empty or too long.
        tf.errors.InvalidArgumentError: If an id is not in the vocabulary, or a mask has other
            values than 0 and 1, or batches that were unknown before differ. Not when compiled by
            XLA, which has no such checks.
    """
    read = read_inputs(inputs, config, extra_names=DECODER_NAMES, names=ENCODER_NAMES)
    ids, read_ids = "input_ids", DECODER_NAMES[0]
    if read[read_ids] is None:
        read[read_ids] = shift_right(read[ids], config.pad_token_id, config.decoder_start_token_id)
    decoder = {name: read[name] for name in DECODER_NAMES if read[name] is not None}
    read.update(read_inputs(decoder, config, names=DECODER_NAMES))
    batches = read[ids].shape[0], read[read_ids].shape[0]
    if None not in batches and batches[0] != batches[1]:
        raise ValueError(
            f"`{read_ids}` must have a row for each of `{ids}`. Received: {read_ids}.shape="
            f"{tuple(read[read_ids].shape)}, {ids}.shape={tuple(read[ids].shape)}"
        )
    if None in batches:
        read[read_ids] = check_when_run(
            read[read_ids],
            (
                lambda: ops.equal(ops.shape(read[read_ids])[0], ops.shape(read[ids])[0]),
                f"`{read_ids}` must have a row for each of `{ids}`",
            ),
        )
    return read
