"""`tensorflow_text`'s SentencePiece kernel, held so that it lives and splits as it should."""

import functools
import hashlib

import tensorflow as tf
import tensorflow_text as tf_text
from google.protobuf.message import DecodeError
from sentencepiece import sentencepiece_model_pb2
from tensorflow_text.python.ops import sentencepiece_tokenizer

__all__ = ["make_kernel", "parse_model", "stand_in_model"]

# A space inside a piece can never match: the normaliser has made every space a "▁" before.
UNREACHABLE_PIECE = " \ufdd0"


def parse_model(model: bytes) -> sentencepiece_model_pb2.ModelProto:
    """Returns a SentencePiece model as the message that it is.

    Raises:
        ValueError: If the bytes are none.
    """
    try:
        return sentencepiece_model_pb2.ModelProto.FromString(model)
    except DecodeError as error:
        raise ValueError(
            f"`model` must be a SentencePiece model. Received {len(model)} bytes that are none: "
            f"{error}"
        ) from error


@functools.cache
def stand_in_model() -> bytes:
    """Returns the least vocabulary of both families, for what is the same with any."""
    proto = sentencepiece_model_pb2.ModelProto()
    types = sentencepiece_model_pb2.ModelProto.SentencePiece
    for piece in ("<pad>", "</s>"):
        proto.pieces.add(piece=piece, type=types.CONTROL)
    proto.pieces.add(piece="<unk>", type=types.UNKNOWN)
    for piece in ("[CLS]", "[SEP]", "[MASK]", "<n>"):
        proto.pieces.add(piece=piece, type=types.USER_DEFINED)
    proto.pieces.add(piece="▁", type=types.NORMAL)
    proto.trainer_spec.model_type = sentencepiece_model_pb2.TrainerSpec.UNIGRAM
    return proto.SerializeToString()


def make_kernel(model: bytes) -> tf_text.SentencepieceTokenizer:
    """Makes the tokenizer of `tensorflow_text` for a SentencePiece model."""
    model = _let_user_defined_pieces_win(model)
    with tf.init_scope():
        # Also when first used inside a `tf.data` map, the resource belongs to no inner graph.
        kernel = tf_text.SentencepieceTokenizer(model, tf.int32)
        kernel._model_resource = _SharedModel(model)
    return kernel


class _SharedModel(tf.saved_model.experimental.TrackableResource):
    """The model in TensorFlow's memory, under a name of its own.

    Eagerly it is a resource. A graph that is being made gets it from a function, one for all
    graphs, instead of capturing it: a SavedModel has the bytes of a captured resource twice, for
    its makers in Python and in C++, and that of a function once.

    The resource that `tensorflow_text` makes is private to the eager kernel that made it, and dies
    with that; `tf.random.set_seed` and `keras.utils.set_random_seed` drop all eager kernels
    (tensorflow/text, issue 570). A named one stays. Its name is the model's hash, so there is one
    for each vocabulary, however many tokenizers there are.
    """

    def __init__(self, model: bytes):
        super().__init__()
        self._model = model
        self._in_graph = tf.function(self._create_resource, input_signature=[], autograph=False)
        # Reading it creates the resource, here and not in the first graph that needs it.
        assert self.resource_handle is not None

    @property
    def resource_handle(self) -> tf.Tensor:
        """The resource, as the graph that is being made, or eager execution, has it."""
        if tf.executing_eagerly():
            return super().resource_handle
        # SentencePiece has CPU kernels only.
        with tf.device("/CPU:0"):
            return self._in_graph()

    def _create_resource(self) -> tf.Tensor:
        return sentencepiece_tokenizer.gen_sentencepiece_tokenizer.sentencepiece_op(
            model=self._model, shared_name=f"bigbird_tf_{hashlib.sha256(self._model).hexdigest()}"
        )


def _let_user_defined_pieces_win(model: bytes) -> bytes:
    """Returns the model with one unreachable piece more, which makes user-defined pieces win.

    The kernel's SentencePiece scores a user-defined piece by the best score of the normal ones, so
    that in a vocabulary whose scores are all 0, as that of Google's BigBird encoders, `[MASK]` in
    a text loses to the pieces of its letters. The library of today always takes it whole. A piece
    with a positive score at the vocabulary's end, which no text can reach, restores that, and
    changes no other piece or id.
    """
    proto = parse_model(model)
    best = max((piece.score for piece in proto.pieces), default=0.0)
    proto.pieces.add(piece=UNREACHABLE_PIECE, score=max(best, 0.0) + 1.0)
    return proto.SerializeToString()
