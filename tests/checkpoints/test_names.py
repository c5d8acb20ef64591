"""The names of `transformers` for every class, written down by hand: which weight has which.

A round trip finds no name that is wrong in both directions; this does, without `transformers`.
"""

import numpy as np
import pytest

from bigbird_tf import models
from bigbird_tf.checkpoints import transformers_format
from tests.contract import randomize, tiny_config, tiny_pegasus_config

# A layer's name there, its path here, and what it is: (D)ense with a bias, (K)ernel alone,
# (N)orm, (E)mbeddings, or (B)ias alone.
BLOCK = """
attention.self.query        attention/query                 D
attention.self.key          attention/key                   D
attention.self.value        attention/value                 D
attention.output.dense      attention/output                D
attention.output.LayerNorm  layer_norm                      N
intermediate.dense          feed_forward/intermediate       D
output.dense                feed_forward/output             D
output.LayerNorm            feed_forward/layer_norm         N
"""
EMBEDDINGS = """
embeddings.word_embeddings        embeddings/word_embeddings        E
embeddings.position_embeddings    embeddings/position_embeddings    E
embeddings.token_type_embeddings  embeddings/token_type_embeddings  E
embeddings.LayerNorm              embeddings/layer_norm             N
"""
POOLER = "pooler pooler/dense D"
LANGUAGE_MODEL = """
cls.predictions.transform.dense      {0}/dense       D
cls.predictions.transform.LayerNorm  {0}/layer_norm  N
cls.predictions                      {0}             B
"""
HEADS = {
    "BigBirdForCausalLM": LANGUAGE_MODEL.format("predictions"),
    "BigBirdForMaskedLM": LANGUAGE_MODEL.format("predictions"),
    "BigBirdForMultipleChoice": "classifier classifier/dense D",
    "BigBirdForPreTraining": LANGUAGE_MODEL.format("cls/predictions")
    + "cls.seq_relationship cls/seq_relationship D",
    "BigBirdForQuestionAnswering": """
qa_classifier.intermediate.dense  qa_classifier/feed_forward/intermediate  D
qa_classifier.output.dense        qa_classifier/feed_forward/output        D
qa_classifier.output.LayerNorm    qa_classifier/feed_forward/layer_norm    N
qa_classifier.qa_outputs          qa_classifier/output                     D
""",
    "BigBirdForSequenceClassification": """
classifier.dense     classifier/dense   D
classifier.out_proj  classifier/output  D
""",
    "BigBirdForTokenClassification": "classifier classifier/dense D",
    "BigBirdPegasusForCausalLM": "",
    "BigBirdPegasusForConditionalGeneration": "final_logits_bias lm_head R",
    "BigBirdPegasusForQuestionAnswering": "qa_outputs qa_outputs/dense D",
    "BigBirdPegasusForSequenceClassification": """
classification_head.dense     classification_head/dense   D
classification_head.out_proj  classification_head/output  D
""",
}
WITHOUT_POOLER = ("BigBirdForQuestionAnswering",)
DECODERS = {
    "BigBirdForCausalLM": ("cls.predictions.decoder", "predictions/decoder"),
    "BigBirdForMaskedLM": ("cls.predictions.decoder", "predictions/decoder"),
    "BigBirdForPreTraining": ("cls.predictions.decoder", "cls/predictions/decoder"),
    "BigBirdPegasusForCausalLM": ("lm_head", "lm_head/decoder"),
    "BigBirdPegasusForConditionalGeneration": ("lm_head", "lm_head/decoder"),
}
FEED_FORWARD = """
fc1                   feed_forward/intermediate  D
fc2                   feed_forward/output        D
final_layer_norm      feed_forward/layer_norm    N
self_attn_layer_norm  layer_norm                 N
"""
ENCODER_BLOCK = (
    FEED_FORWARD
    + """
self_attn.self.query  attention/query            D
self_attn.self.key    attention/key              D
self_attn.self.value  attention/value            D
self_attn.output      attention/output           D
"""
)
DECODER_BLOCK = (
    FEED_FORWARD
    + """
self_attn.q_proj         attention/query         D
self_attn.k_proj         attention/key           D
self_attn.v_proj         attention/value         D
self_attn.out_proj       attention/output        D
encoder_attn.q_proj      cross_attention/query   D
encoder_attn.k_proj      cross_attention/key     D
encoder_attn.v_proj      cross_attention/value   D
encoder_attn.out_proj    cross_attention/output  D
encoder_attn_layer_norm  cross_layer_norm        N
"""
)
STACK = """
embed_positions      {0}_embeddings/position_embeddings  E
layernorm_embedding  {0}/layer_norm                      N
"""
# Names there and here, and whether one is the other's transpose.
KINDS = {
    "D": [(".weight", "/kernel", True), (".bias", "/bias", False)],
    "K": [(".weight", "/kernel", True)],
    "N": [(".weight", "/gamma", False), (".bias", "/beta", False)],
    "E": [(".weight", "/embeddings", False)],
    "B": [(".bias", "/bias", False)],
    "R": [("", "/bias", False)],
}


def rows(text, theirs="", ours=""):
    for line in text.split("\n"):
        if line:
            name, path, kind = line.split()
            for suffix, attribute, is_transposed in KINDS[kind]:
                yield theirs + name + suffix, (ours + path + attribute, is_transposed)


def big_bird(name, prefix="bert.", path="backbone/"):
    yield from rows(EMBEDDINGS, prefix, path)
    for index in range(2):
        inside = f"encoder.layer.{index}.", f"encoder/layer_{index}/"
        yield from rows(BLOCK, prefix + inside[0], path + inside[1])
    if name not in WITHOUT_POOLER:
        yield from rows(POOLER, prefix, path)


def pegasus(name, prefix="model.", path="backbone/"):
    is_decoder = name == "BigBirdPegasusForCausalLM"
    words = "decoder.embed_tokens" if is_decoder else "shared"
    yield from rows(f"{words} word_embeddings E", prefix, path)
    stacks = {"encoder": ENCODER_BLOCK, "decoder": DECODER_BLOCK}
    for stack in ["decoder"] if is_decoder else stacks:
        yield from rows(STACK.format(stack), f"{prefix}{stack}.", path)
        for index in range(2):
            inside = f"{stack}.layers.{index}.", f"{stack}/layer_{index}/"
            yield from rows(stacks[stack], prefix + inside[0], path + inside[1])


def expected_names(name, is_tied):
    family = pegasus if "Pegasus" in name else big_bird
    if name not in HEADS:
        return dict(family(name, "", ""))
    names = {**dict(family(name)), **dict(rows(HEADS[name]))}
    if not is_tied and name in DECODERS:
        names.update(rows("{} {} K".format(*DECODERS[name])))
    return names


def make(name, is_tied):
    fields = {"num_labels": 3, "tie_word_embeddings": is_tied}
    if "Pegasus" in name:
        two = {"encoder_layers": 2, "decoder_layers": 2, "use_bias": True}
        return getattr(models, name)(tiny_pegasus_config(**fields, **two))
    return getattr(models, name)(tiny_config(**fields))


def own_path(weight, model):
    """Without the model's name, which tells nothing."""
    return weight.path.removeprefix(f"{model.name}/")


def test_no_class_is_forgotten():
    without_head = {"BigBirdModel", "BigBirdPegasusModel", "BigBirdForSentenceEmbedding"}
    assert {*HEADS, *without_head} == {*models.__all__}


@pytest.mark.parametrize(
    ("name", "is_tied"),
    [*((name, True) for name in models.__all__), *((name, False) for name in DECODERS)],
)
def test_names(name, is_tied):
    model = make(name, is_tied)
    randomize(model)
    expected = expected_names(name, is_tied)
    table = transformers_format.tensor_table(model)
    weights = {own_path(weight, model): np.array(weight) for weight in model.weights}
    found = {}
    for theirs, entry in table.items():
        variable = getattr(entry.layer, entry.attribute)
        found[theirs] = (own_path(variable, model), entry.is_transposed)
        stored = weights[own_path(variable, model)]
        stored = stored.T if entry.is_transposed else stored
        stored = stored[None] if theirs == "final_logits_bias" else stored
        assert entry.shape == stored.shape, theirs
        np.testing.assert_array_equal(entry.read(), stored)
    assert found == expected
