"""The demo's model in training: question answering with two auxiliary losses."""

import keras
from keras import ops

from bigbird_tf import BigBirdForQuestionAnswering

__all__ = ["TrainingModel"]

MASKED = -1e6


class TrainingModel(keras.Model):
    """A question-answering model that also says, halfway up, where the question's name stands.

    Pointing at an answer takes three steps: which pieces of the page are pieces of the question,
    where all of them stand in a row, and what follows there. One label an example says little about
    the first two, so lower layers get labels of their own. The extra heads are dropped afterwards:
    what is trained is `question_answering` itself.

    Args:
        question_answering: The model to train.
        occurs_layer: The encoder block (from 1) whose output tells whether a piece of the page is
            among the question's pieces.
        name_layer: The encoder block whose output points at the definition of the name.

    Call arguments:
        inputs: A dictionary of tensors of shape (B, T), as `BigBirdModel`'s; `token_type_ids` must
            be there, 0 for the question.
        training: Whether dropout acts.

    Returns:
        A dictionary of float32 tensors of shape (B, T): `start_logits`, `end_logits`,
        `name_logits`, `occurs_logits`.
    """

    def __init__(
        self,
        question_answering: BigBirdForQuestionAnswering,
        occurs_layer: int = 1,
        name_layer: int = 2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        num_layers = question_answering.config.num_hidden_layers
        for name, layer in (("occurs_layer", occurs_layer), ("name_layer", name_layer)):
            if not 1 <= layer <= num_layers:
                raise ValueError(
                    f"`{name}` must be one of the model's {num_layers} encoder blocks, counted "
                    f"from 1. Received: {name}={layer!r}"
                )
        self.question_answering = question_answering
        self.occurs_layer = occurs_layer
        self.name_layer = name_layer
        self.occurs_dense = keras.layers.Dense(1, dtype="float32", name="occurs")
        self.name_dense = keras.layers.Dense(1, dtype="float32", name="name")

    def build(self, input_shape=None):
        """Makes the weights of the extra heads."""
        shape = (None, None, self.question_answering.config.hidden_size)
        self.occurs_dense.build(shape)
        self.name_dense.build(shape)

    def call(self, inputs, training=None):
        """Computes the logits; see the class."""
        model = self.question_answering
        outputs = model.backbone(inputs, training=training, output_hidden_states=True)
        states = outputs["hidden_states"]
        logits = ops.cast(model.head(outputs["last_hidden_state"], training=training), "float32")
        # The question is out of the competition, as in the model's own call; and so is padding, as
        # in the decoder.
        is_page = inputs["token_type_ids"] * inputs["attention_mask"]
        is_out = (1.0 - ops.cast(is_page, "float32")) * MASKED
        return {
            "start_logits": logits[:, :, 0] + is_out,
            "end_logits": logits[:, :, 1] + is_out,
            "name_logits": self.name_dense(states[self.name_layer])[:, :, 0] + is_out,
            "occurs_logits": self.occurs_dense(states[self.occurs_layer])[:, :, 0],
        }
