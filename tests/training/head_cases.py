"""Every head of both families, small, with a batch of its own: what tests of devices train."""

import keras
import numpy as np

import bigbird_tf as bb
from tests.contract import randomize, tiny_config, tiny_pegasus_config

BATCH, LENGTH, WRITTEN, END = 8, 37, 5, 1
RNG = np.random.default_rng(4)
FULL = {"attention_type": "original_full"}
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")
PEGASUS_DROPOUTS = ("dropout", "attention_dropout", "activation_dropout", "classifier_dropout")


def ids(*shape: int) -> np.ndarray:
    return RNG.integers(6, 53, shape).astype("int32")


def config_of(cls: type, fields: dict):
    """Returns a config whose heads, widths and positions two devices divide."""
    sizes = {"vocab_size": 54, "max_position_embeddings": 62, "hidden_size": 24}
    if "Pegasus" in cls.__name__:
        sizes["d_model"] = sizes.pop("hidden_size")
        heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 2}
        inner = {"encoder_ffn_dim": 14, "decoder_ffn_dim": 10}
        rates = dict.fromkeys(PEGASUS_DROPOUTS, 0.0)
        return tiny_pegasus_config(**{**sizes, **heads, **inner, **rates, **fields})
    heads = {"num_attention_heads": 4, "intermediate_size": 14, "num_hidden_layers": 1}
    return tiny_config(**{**sizes, **heads, **dict.fromkeys(DROPOUTS, 0.0), **fields})


def data_of(cls: type) -> tuple:
    """Returns what `train_on_batch` takes, with padding: inputs, labels, weights."""
    name = cls.__name__.removeprefix("BigBirdPegasus").removeprefix("BigBird")
    shape = (BATCH, 3, LENGTH) if name == "ForMultipleChoice" else (BATCH, LENGTH)
    mask = (np.arange(LENGTH) < RNG.integers(30, LENGTH + 1, (*shape[:-1], 1))).astype("int32")
    inputs = {"input_ids": ids(*shape), "attention_mask": mask}
    classes = RNG.integers(0, 2, BATCH)
    places = {which: RNG.integers(8, 30, BATCH) for which in ("start_logits", "end_logits")}
    if cls is bb.BigBirdForQuestionAnswering:
        inputs["input_ids"][:, 5] = 5  # the separator
    if name == "ForSequenceClassification" and "Pegasus" in cls.__name__:
        inputs["input_ids"][:, 20] = END
    tokens, weights = ids(*shape), mask.astype("float32")
    pairs = {"prediction_logits": tokens, "seq_relationship_logits": classes}
    of_pairs = {"prediction_logits": weights, "seq_relationship_logits": np.ones(BATCH, "float32")}
    labels = {
        "ForMaskedLM": (tokens, weights),
        "ForCausalLM": (tokens, weights),
        "ForPreTraining": (pairs, of_pairs),
        "ForConditionalGeneration": (ids(BATCH, WRITTEN), None),
        "ForTokenClassification": (RNG.integers(0, 2, shape), weights),
        "ForQuestionAnswering": (places, None),
        "ForSentenceEmbedding": (RNG.normal(size=(BATCH, 24)).astype("float32"), None),
    }.get(name, (classes, None))
    return inputs, *labels


# Sparse attention in one of each family; the others differ from these in their heads.
HEADS = {
    bb.BigBirdForMaskedLM: {},
    bb.BigBirdForCausalLM: {**FULL, "vocab_size": 53, "tie_word_embeddings": False},
    bb.BigBirdForPreTraining: FULL,
    bb.BigBirdForSequenceClassification: {"construction": "etc", "num_global_tokens": 3},
    bb.BigBirdForMultipleChoice: FULL,
    bb.BigBirdForTokenClassification: FULL,
    bb.BigBirdForQuestionAnswering: FULL,
    bb.BigBirdForSentenceEmbedding: FULL,
    bb.BigBirdPegasusForConditionalGeneration: {},
    bb.BigBirdPegasusForCausalLM: {"tie_word_embeddings": False},
    bb.BigBirdPegasusForSequenceClassification: FULL,
    bb.BigBirdPegasusForQuestionAnswering: FULL,
}


def make(cls: type, dtype: str | None = None, **options) -> keras.Model:
    """Returns the model, compiled with these options."""
    model = cls(config_of(cls, HEADS[cls]), dtype=dtype)
    randomize(model)
    loss = {"loss": "mse"} if cls is bb.BigBirdForSentenceEmbedding else {}
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), **loss, **options)
    return model
