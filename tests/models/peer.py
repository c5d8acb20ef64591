"""What the parity tests with `transformers` share; torch and transformers are imported on use."""

import contextlib
import os
import warnings
from collections.abc import Iterator

import keras
import numpy as np

import bigbird_tf
from bigbird_tf import BigBirdConfig, BigBirdPegasusConfig


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Their code warns of what these tests do on purpose, and draws progress bars."""
    import transformers

    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    transformers.logging.set_verbosity(level)


def make(
    name: str, config: BigBirdConfig | BigBirdPegasusConfig, scale: float = 3.0, seed: int = 7
):
    """Makes a model of theirs with random weights: their initialisation scaled up."""
    import torch
    import transformers

    fields = config.to_dict()
    for ours in ("random_plan", "inference_random_blocks", "full_attention_up_to"):
        del fields[ours]
    with _quiet():
        torch.manual_seed(seed)
        config_class = getattr(transformers, type(config).__name__)
        model = getattr(transformers, name)(config_class(**fields))
        with torch.no_grad():
            for parameter_name, parameter in model.named_parameters():
                is_vector = parameter.ndim == 1
                if not is_vector:
                    parameter.mul_(scale)
                elif "norm" in parameter_name.lower() and parameter_name.endswith("weight"):
                    parameter.add_(0.1 * torch.randn_like(parameter))
                else:
                    parameter.copy_(0.1 * torch.randn_like(parameter))
            if hasattr(model, "final_logits_bias"):
                model.final_logits_bias.copy_(torch.randn_like(model.final_logits_bias))
    return model


def call(model, inputs: dict, random_blocks: str) -> dict[str, np.ndarray]:
    """Calls a model of theirs; dropout is 0, so that training only means its random blocks.

    Their model leaves block-sparse attention for good at a short input, so it is set each time.
    """
    import torch

    model.train(random_blocks == "seeded")
    backbone = getattr(model, "bert", getattr(model, "model", model))
    encoder = getattr(backbone, "encoder", None)
    with _quiet(), torch.no_grad():
        if encoder is not None:
            # BigBird's own keeps count of it too.
            owner = backbone if hasattr(backbone, "set_attention_type") else encoder
            owner.set_attention_type(model.config.attention_type)
        outputs = model(**{name: torch.tensor(value) for name, value in inputs.items()})
    names = ("logits", "prediction_logits", "seq_relationship_logits", "start_logits")
    names += ("end_logits", "last_hidden_state", "pooler_output")
    if not hasattr(model, "model"):
        names += ("encoder_last_hidden_state",)
    return {
        name: outputs[name].numpy()
        for name in names
        if name in outputs and outputs[name] is not None
    }


def save(model, directory) -> None:
    with _quiet():
        model.save_pretrained(directory)


def load(name: str, directory):
    """Loads into their class, and gives the model and what their loading found wrong."""
    import transformers

    with _quiet():
        return getattr(transformers, name).from_pretrained(directory, output_loading_info=True)


def ours_of(theirs, directory, **config_overrides) -> keras.Model:
    """Returns our model with the weights of theirs."""
    if not os.path.exists(os.path.join(directory, "config.json")):
        save(theirs, directory)
    cls = getattr(bigbird_tf, type(theirs).__name__)
    return cls.from_pretrained(directory, random_plan="transformers", **config_overrides)


def assert_same_outputs(ours, theirs, inputs, random_blocks, tolerance=1e-4) -> float:
    """Compares all outputs at real positions; gives the size of the largest."""
    expected = call(theirs, inputs, random_blocks)
    actual = ours(inputs, training=False)
    if not isinstance(actual, dict):
        actual = {"logits": actual}
    if "pooler_output" not in expected or "start_logits" in expected:
        expected.pop("pooler_output", None)
    assert set(actual) == set(expected)
    mask = inputs["attention_mask"].astype(bool)
    largest = 0.0
    for name, value in actual.items():
        value = keras.ops.convert_to_numpy(value)
        assert value.shape == expected[name].shape
        other = expected[name]
        if value.shape[: mask.ndim] == mask.shape:
            value, other = value[mask], other[mask]
        # Logits of the question are out by a million; what counts is the others.
        real = np.abs(other) < 1e5
        assert np.abs(value - other)[real].max() <= tolerance, name
        assert (np.abs(value)[~real] > 1e5).all()
        largest = max(largest, np.abs(other[real]).max())
    return largest
