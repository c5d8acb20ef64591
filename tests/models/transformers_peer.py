"""A live model of `transformers` with random weights, and ours that loads what it saves."""

from pathlib import Path

import keras
import numpy as np
from keras import ops

import bigbird_tf
from bigbird_tf.checkpoints.transformers_format import tensor_table
from tests.backends import IS_TENSORFLOW, compiled, loss_and_gradients

VOCABULARY, SEPARATOR = 97, 5


def draw_inputs(length: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Returns a full row and one with padding; each with a question and its separator."""
    rng = np.random.default_rng(seed + length)
    ids = rng.integers(SEPARATOR + 1, VOCABULARY, (2, length))
    ids[0, 11] = ids[1, 7] = SEPARATOR
    mask = np.arange(length) < np.array([[length], [length * 3 // 4 + 1]])
    types = np.arange(length) > np.array([[11], [7]])
    named = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    return {name: value.astype(np.int64) for name, value in named.items()}


def loss_weights(inputs, shape) -> np.ndarray:
    """Returns ones where an output counts: not for padding, and not for questions.

    Their logits are minus a million in question answering.
    """
    counts = inputs["attention_mask"] * inputs["token_type_ids"]
    if tuple(shape[:2]) != counts.shape:
        return np.ones([1] * len(shape), np.float32)
    return counts.reshape(counts.shape + (1,) * (len(shape) - 2)).astype(np.float32)


class TransformersPeer:
    """A model of `transformers` with weights of a size that makes mistakes visible."""

    def __init__(self, name: str, folder: Path, **fields):
        import torch
        import transformers

        torch.manual_seed(3)
        torch.set_num_threads(2)
        config = transformers.BigBirdConfig(
            vocab_size=VOCABULARY,
            hidden_size=39,
            num_attention_heads=3,
            num_hidden_layers=2,
            intermediate_size=23,
            sep_token_id=SEPARATOR,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            num_labels=fields.pop("num_labels", 3 if "Classification" in name else 2),
            **fields,
        )
        self.name, self.folder = name, folder
        self.model = getattr(transformers, name)(config)
        with torch.no_grad():
            for parameter_name, parameter in self.model.named_parameters():
                noise = torch.randn(parameter.shape)
                if "LayerNorm.weight" in parameter_name:
                    parameter.copy_(1 + 0.2 * noise)
                elif parameter.ndim == 1:
                    parameter.copy_(0.2 * noise)
                elif "embeddings" in parameter_name:
                    parameter.copy_(noise)
                else:
                    parameter.copy_(1.5 * noise / parameter.shape[1] ** 0.5)
        self.model.save_pretrained(folder)

    def load_ours(self, **overrides):
        """Returns our model of the same class with these weights."""
        overrides = {"random_plan": "transformers", **overrides}
        return getattr(bigbird_tf, self.name).from_pretrained(self.folder, **overrides)

    def _call(self, inputs, training: bool):
        import torch

        self.model.train(training)
        # A short input turns it to full attention for good.
        getattr(self.model, "bert", self.model).set_attention_type("block_sparse")
        self.model.train(training)
        outputs = self.model(**{name: torch.tensor(value) for name, value in inputs.items()})
        return dict(outputs.items())

    def outputs(self, inputs, *, training: bool) -> dict[str, np.ndarray]:
        """Returns the outputs; training mode draws random blocks, and drops nothing here."""
        import torch

        with torch.no_grad():
            return {name: x.numpy() for name, x in self._call(inputs, training).items()}

    def gradients(self, inputs) -> dict[str, np.ndarray]:
        """Returns gradients of the mean square of the outputs, by the names of the tensors."""
        import torch

        self.model.zero_grad()
        loss = 0.0
        for x in self._call(inputs, training=True).values():
            loss = loss + (x * torch.tensor(loss_weights(inputs, x.shape))).square().mean()
        loss.backward()
        return {
            name: parameter.grad.numpy().copy()
            for name, parameter in self.model.named_parameters()
            if parameter.grad is not None
        }


def gradients_of_mean_square(model, inputs) -> dict[str, np.ndarray | None]:
    """Returns the same gradients of our model."""

    def loss(_):
        loss = 0.0
        for x in keras.tree.flatten(model(inputs, training=True)):
            loss += ops.mean(ops.square(x * loss_weights(inputs, x.shape)))
        return loss

    def compute(unused):
        return loss_and_gradients(loss, unused, model)[1][1:]

    run = compiled(compute, jit_compile=False) if IS_TENSORFLOW else compute
    paths = {weight.path: number for number, weight in enumerate(model.trainable_weights)}
    gradients = run(ops.zeros(()))
    named = {}
    for name, entry in tensor_table(model).items():
        number = paths.get(getattr(entry.layer, entry.attribute).path)
        gradient = None if number is None else gradients[number]
        if gradient is not None:
            gradient = ops.convert_to_numpy(gradient)
            gradient = gradient.T if entry.is_transposed else gradient
        named[name] = gradient
    return named
