"""The settings that Google's BigBird code builds its models from."""

import json
import os
from pathlib import Path
from typing import Any

from bigbird_tf.config import Activation, BigBirdConfig, BigBirdPegasusConfig

__all__ = ["config_from_google"]

# Google's setting: ours, of which there may be several. What is not listed here is about runs, not
# about the model.
_SHARED_SETTINGS = {
    "vocab_size": ("vocab_size",),
    "max_position_embeddings": ("max_position_embeddings",),
    "attention_type": ("attention_type",),
    "use_bias": ("use_bias",),
    "block_size": ("block_size",),
    "num_rand_blocks": ("num_random_blocks",),
    "use_gradient_checkpointing": ("gradient_checkpointing",),
}
_ENCODER_SETTINGS = {
    "hidden_size": ("hidden_size",),
    "num_hidden_layers": ("num_hidden_layers",),
    "num_attention_heads": ("num_attention_heads",),
    "intermediate_size": ("intermediate_size",),
    "hidden_dropout_prob": ("hidden_dropout_prob",),
    "attention_probs_dropout_prob": ("attention_probs_dropout_prob",),
    "type_vocab_size": ("type_vocab_size",),
    "initializer_range": ("initializer_range",),
    "rescale_embedding": ("rescale_embeddings",),
    "num_labels": ("num_labels",),
}
_PEGASUS_SETTINGS = {
    "hidden_size": ("d_model",),
    "num_hidden_layers": ("encoder_layers", "decoder_layers"),
    "num_attention_heads": ("encoder_attention_heads", "decoder_attention_heads"),
    "intermediate_size": ("encoder_ffn_dim", "decoder_ffn_dim"),
    "hidden_dropout_prob": ("dropout",),
    "attention_probs_dropout_prob": ("attention_dropout",),
    "initializer_range": ("init_std",),
    "rescale_embedding": ("scale_embedding",),
}
# Where `BigBirdPegasusConfig`, as `transformers`, has other ones.
_GOOGLE_DEFAULTS = {
    "attention_probs_dropout_prob": 0.1,
    "rescale_embedding": False,
    "use_bias": True,
}
_REQUIRED_SETTINGS = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
# Those that encoders have, first.
_NORM_TYPES = ("postnorm", "prenorm")
_ACTIVATIONS: dict[str, Activation] = {"gelu": "gelu_new", "relu": "relu"}
# Google's models use full attention up to this length, whatever the block size.
_FULL_ATTENTION_UP_TO = 512
_LAYER_NORM_EPS = 1e-12


def config_from_google(
    settings: dict[str, Any] | str | os.PathLike,
) -> BigBirdConfig | BigBirdPegasusConfig:
    """Makes a config of the settings that Google's code builds a model from.

    Settings of a decoder make it a `BigBirdPegasusConfig`.

    Args:
        settings: The dictionary, or the path of a JSON file that holds one. Settings that are not
            about the model's form (batch sizes, paths, optimizer) are passed over.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a JSON object, lacks a size, or is of a model that is not here: an
            encoder with pre-norm.
    """
    source = "`config`"
    if not isinstance(settings, (dict, str, os.PathLike)):
        raise ValueError(
            "`config` must be a `BigBirdConfig`, a dictionary of Google's settings, or the path of "
            f"a JSON file of them. Received: {type(settings).__name__}"
        )
    if not isinstance(settings, dict):
        source = str(settings)
        try:
            settings = json.loads(Path(settings).expanduser().read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{source} is not valid JSON: {error}") from error
        if not isinstance(settings, dict):
            raise ValueError(
                f"{source} must hold a JSON object. Received: {type(settings).__name__}"
            )
    if "model_type" in settings:
        raise ValueError(
            f"{source} is a config of `transformers` (it has a model_type), not Google's settings. "
            "Read it with `BigBirdConfig.from_pretrained` or `from_dict`, and pass the result."
        )
    has_decoder = "max_decoder_length" in settings or "couple_encoder_decoder" in settings
    norm_type = settings.get("norm_type", "postnorm")
    if norm_type not in _NORM_TYPES[: 1 + has_decoder]:
        raise ValueError(
            f"{source} must be of a model with norm_type='postnorm', as all of Google's encoders "
            "are, or of an encoder-decoder with norm_type='prenorm', as Pegasus is. Received: "
            f"norm_type={norm_type!r}, {'a' if has_decoder else 'no'} decoder"
        )
    missing = [name for name in _REQUIRED_SETTINGS if name not in settings]
    if missing:
        raise ValueError(
            f"{source} must have Google's settings of the model, and lacks: {', '.join(missing)}. "
            f"Received: {', '.join(map(str, sorted(settings))) or 'nothing'}"
        )
    activation = settings.get("hidden_act", "gelu")
    if activation not in _ACTIVATIONS:
        raise ValueError(
            f"`hidden_act` in {source} must be one of {', '.join(map(repr, _ACTIVATIONS))}. "
            f"Received: hidden_act={activation!r}"
        )
    common: dict[str, Any] = {
        "full_attention_up_to": _FULL_ATTENTION_UP_TO,
        "random_plan": "google",
        "inference_random_blocks": "seeded",
    }
    if has_decoder:
        names = {**_SHARED_SETTINGS, **_PEGASUS_SETTINGS}
        settings = {**_GOOGLE_DEFAULTS, **settings}
        fields = {
            ours: settings[name]
            for name, every in names.items()
            for ours in every
            if name in settings
        }
        return BigBirdPegasusConfig(
            activation_function=_ACTIVATIONS[activation],
            layer_norm_eps=_LAYER_NORM_EPS,
            normalize_before=norm_type == "prenorm",
            tie_encoder_decoder=bool(settings.get("couple_encoder_decoder")),
            **common,
            **fields,
        )
    names = {**_SHARED_SETTINGS, **_ENCODER_SETTINGS}
    fields = {names[name][0]: settings[name] for name in names if name in settings}
    return BigBirdConfig(hidden_act=_ACTIVATIONS[activation], **common, **fields)
