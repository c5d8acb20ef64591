"""The demo's model in training: question answering with auxiliary outputs."""

from collections.abc import Mapping

import keras
from keras import ops

from bigbird_tf import BigBirdForQuestionAnswering

__all__ = ["POINTERS", "TrainingModel"]

MASKED = -1e6
# Outputs that choose one position; the others say yes or no to each.
POINTERS = ("start_logits", "end_logits", "name_logits")
EXTRAS = ("occurs", "name", "inside")


class TrainingModel(keras.Model):
    """A question-answering model that also tells, on its way up, what it has found so far.

    Pointing at an answer takes three steps: which pieces of the page are pieces of the question,
    where all of them stand in a row, and what follows there. One label an example says little about
    the first two, so lower layers get labels of their own. The extra heads are dropped afterwards:
    what is trained is `question_answering` itself.

    Args:
        question_answering: The model to train.
        layers: For each extra output the encoder block, counted from 1, that tells it: `"occurs"`,
            whether a piece of the page is among the question's pieces; `"name"`, where the name is
            defined; `"inside"`, whether a piece lies between there and the answer's end. `None` for
            the first, the second, and the last but one, where a far answer may have been found.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: A dictionary of tensors of shape (B, T), as `BigBirdModel`'s; `token_type_ids` must
            be there, 0 for the question, and `attention_mask`.
        training: Whether dropout acts.

    Returns:
        A dictionary of float32 tensors of shape (B, T): `start_logits`, `end_logits`,
        `name_logits`, `inside_logits`, `occurs_logits`.

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

    def build(self, input_shape=None):
        """Makes the weights of the extra heads."""
        for head in self.extra_heads:
            head.build((None, None, self.question_answering.config.hidden_size))

    def call(self, inputs, training=None):
        """Computes the logits; see the class."""
        model = self.question_answering
        outputs = model.backbone(inputs, training=training, output_hidden_states=True)
        states = outputs["hidden_states"]
        span = ops.cast(model.head(outputs["last_hidden_state"], training=training), "float32")
        logits = {"start_logits": span[:, :, 0], "end_logits": span[:, :, 1]}
        for head, layer in zip(self.extra_heads, self.extra_layers.values(), strict=True):
            logits[f"{head.name}_logits"] = head(states[layer])[:, :, 0]
        # The question is out of the competition, as in the model's own call; and so is padding, as
        # in the decoder.
        is_page = inputs["token_type_ids"] * inputs["attention_mask"]
        is_out = (1.0 - ops.cast(is_page, "float32")) * MASKED
        return {
            name: value + is_out if name in POINTERS else value for name, value in logits.items()
        }
