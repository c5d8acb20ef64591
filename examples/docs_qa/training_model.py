"""The demo's model in training: question answering with auxiliary outputs."""

from collections.abc import Mapping

import keras
from keras import ops

from bigbird_tf import BigBirdConfig, BigBirdForQuestionAnswering
from examples.docs_qa.initial_weights import LOOK_BEFORE, NOTE, note_readers, sinusoids

__all__ = ["POINTERS", "TrainingModel", "with_global_question"]

MASKED = -1e6
# Outputs that choose one position; the others say yes or no to each.
POINTERS = (
    *("start_logits", "end_logits", "name_logits"),
    *("noted_name_logits", "noted_owner_logits"),
)
# What each piece tells of itself, and what [CLS] tells of places, after which layer.
EXTRAS = ("occurs", "name", "inside")
NOTES = {"noted_name": NOTE + 1, "noted_owner": LOOK_BEFORE + 1}


class TrainingModel(keras.Model):
    """A question-answering model that also tells, on its way up, what it has found so far.

    Pointing at an answer takes three steps: which pieces of the page are pieces of the question,
    where all of them stand in a row, and what follows there. One label an example says little about
    the first two, so lower layers get labels of their own. Which class defines a method takes two
    more: `[CLS]` must have noted where the method is, and then where the class's heading is, in
    terms of positions. The extra heads are dropped afterwards: what is trained is
    `question_answering` itself.

    Args:
        question_answering: The model to train.
        layers: For each extra output the encoder block, counted from 1, that tells it: `"occurs"`,
            whether a piece of the page is among the question's pieces; `"name"`, where the name is
            defined; `"inside"`, whether a piece is of both or lies between them. `None` for
            the first, the second, and the last but one, where a far answer may have been found.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: A dictionary of tensors of shape (B, T), as `BigBirdModel`'s; `token_type_ids` must
            be there, 0 for the question, `attention_mask` and `position_ids`.
        training: Whether dropout acts.

    Returns:
        A dictionary of float32 tensors of shape (B, T): `start_logits`, `end_logits`,
        `name_logits`, `inside_logits`, `occurs_logits`, `noted_name_logits`, `noted_owner_logits`.

    Raises:
        ValueError: If the model has no such block.
    """

    def __init__(
        self,
        question_answering: BigBirdForQuestionAnswering,
        layers: Mapping[str, int] | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        num_layers = question_answering.config.num_hidden_layers
        if layers is None:
            layers = dict(zip(EXTRAS, (1, 2, num_layers - 1), strict=True))
        for name, layer in layers.items():
            if not 1 <= layer <= num_layers:
                raise ValueError(
                    f"`layers` must name blocks among the model's {num_layers}, counted from 1. "
                    f"Received: {name}={layer!r}"
                )
        self.question_answering = question_answering
        self.extra_layers = dict(layers)
        self.extra_heads = [
            keras.layers.Dense(1, dtype="float32", name=name) for name in self.extra_layers
        ]
        config = question_answering.config
        readers = note_readers(config.hidden_size, config.head_size)
        self.places = sinusoids(config.max_position_embeddings, readers[0].shape[1])
        # From nothing, reading would wait for something noted, and noting for a reader.
        self.note_heads = [
            keras.layers.Dense(
                reader.shape[1],
                kernel_initializer=keras.initializers.Constant(reader),
                dtype="float32",
                name=name,
            )
            for name, reader in zip(NOTES, readers, strict=True)
        ]

    def build(self, input_shape=None):
        """Makes the weights of the extra heads."""
        for head in (*self.extra_heads, *self.note_heads):
            head.build((None, None, self.question_answering.config.hidden_size))

    def call(self, inputs, training=None):
        """Computes the logits; see the class."""
        model = self.question_answering
        read = with_global_question(inputs, model.config)
        outputs = model.backbone(read, training=training, output_hidden_states=True)
        states = outputs["hidden_states"]
        span = ops.cast(model.head(outputs["last_hidden_state"], training=training), "float32")
        logits = {"start_logits": span[:, :, 0], "end_logits": span[:, :, 1]}
        for head, layer in zip(self.extra_heads, self.extra_layers.values(), strict=True):
            logits[f"{head.name}_logits"] = head(states[layer])[:, :, 0]
        places = ops.take(ops.convert_to_tensor(self.places, "float32"), inputs["position_ids"], 0)
        for head, layer in zip(self.note_heads, NOTES.values(), strict=True):
            note = head(states[min(layer, len(states) - 1)][:, :1])
            logits[f"{head.name}_logits"] = ops.sum(note * places, axis=-1)
        # The question is out of the competition, as in the model's own call; and so is padding, as
        # in the decoder.
        is_page = inputs["token_type_ids"] * inputs["attention_mask"]
        is_out = (1.0 - ops.cast(is_page, "float32")) * MASKED
        return {
            name: value + is_out if name in POINTERS else value for name, value in logits.items()
        }


def with_global_question(inputs: dict, config: BigBirdConfig) -> dict:
    """Returns inputs with the question's pieces as global tokens, if the model has such.

    Args:
        inputs: As `TrainingModel` takes them.
        config: The model's config.
    """
    count = config.num_global_tokens
    if not count:
        return inputs
    # Behind [CLS]; the page may begin within so many.
    ids, types = (inputs[name][:, 1 : count + 1] for name in ("input_ids", "token_type_ids"))
    is_question = ops.logical_and(ops.equal(types, 0), ops.not_equal(ids, config.sep_token_id))
    return {
        **inputs,
        "global_input_ids": ids,
        "global_attention_mask": ops.cast(is_question, "int32"),
    }
