"""`PretrainedModel`: a model in the form that `transformers` uses, and all that models share."""

import os
import tempfile
from pathlib import Path
from typing import Any, Self

from bigbird_tf.checkpoints import (
    generation_settings,
    positions,
    sentence_transformers_format,
    transformers_format,
)
from bigbird_tf.config_checks import check_integer
from bigbird_tf.models.lora_model import LoraModel
from bigbird_tf.models.quantizable_model import QuantizableModel
from bigbird_tf.models.trainable_model import TrainableModel

__all__ = ["PretrainedModel"]


class PretrainedModel(LoraModel, TrainableModel, QuantizableModel):
    """A `keras.Model` built from a config, saved in the form that `transformers` uses.

    All weights exist as soon as the model is made.

    Args:
        config: A config of the family, or its dictionary.
        **kwargs: Of `keras.Model`: `name`, `dtype` (such as `"mixed_bfloat16"`), `trainable`.
    """

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike,
        *,
        ignore_mismatched_sizes: bool = False,
        revision: str | None = None,
        cache_dir: str | os.PathLike | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        dtype: Any = None,
        **config_overrides: Any,
    ) -> Self:
        """Loads a model from a directory or from a repository of the Hugging Face hub.

        A head that the checkpoint does not have, as when a pre-trained encoder is to be fine-tuned,
        starts from fresh weights, and a warning says so. Another warning names what the model has
        no place for.

        Args:
            name_or_path: A directory with `config.json` and weights (`model.safetensors` or
                `pytorch_model.bin`, whole or in shards); the name of a model that ships with this
                package (`"bigbird-docs-qa-mini"`); or a repository id.
            ignore_mismatched_sizes: Start head weights whose shapes differ afresh, too.
            revision: Branch, tag or commit on the hub.
            cache_dir: Where downloads are kept.
            token: The hub's access token.
            local_files_only: Use only what has been downloaded before.
            dtype: The model's dtype or dtype policy.
            **config_overrides: Fields of the config to replace, such as `num_random_blocks=2`;
                and what the class' constructor takes besides the config.

        Raises:
            FileNotFoundError: If there is no such checkpoint.
            ValueError: If its tensors do not fit. The message names them, and nothing is loaded.
        """
        hub_options: dict[str, Any] = {
            "revision": revision,
            "cache_dir": cache_dir,
            "token": token,
            "local_files_only": local_files_only,
        }
        given = {
            name: config_overrides.pop(name) for name in cls.options if name in config_overrides
        }
        config = cls.config_class.from_pretrained(name_or_path, **hub_options, **config_overrides)
        config = generation_settings.read_into(
            cls, config, name_or_path, config_overrides, **hub_options
        )
        stored = sentence_transformers_format.read_options(cls, name_or_path, **hub_options)
        with transformers_format.open_tensors(name_or_path, **hub_options) as tensors:
            if "tie_word_embeddings" not in config_overrides:
                config = transformers_format.untie(cls, config, tensors)
            model = cls(config, dtype=dtype, **{**stored, **given})
            transformers_format.load(
                model, tensors, ignore_mismatched_sizes=ignore_mismatched_sizes
            )
        return model

    @property
    def architecture(self) -> str:
        """The class of `transformers` that loads what is saved."""
        return self.public_name

    def save_pretrained(self, directory: str | os.PathLike, *, dtype: str | None = None) -> None:
        """Writes `config.json` and `model.safetensors`, which `transformers` loads too.

        And `generation_config.json`, for what was loaded with one.

        Args:
            directory: The folder; made if it is not there.
            dtype: The dtype to store weights in: `"float16"` or `"bfloat16"` for half the size,
                `"float32"`; `None` for the weights' own.

        Raises:
            ValueError: If the model is quantized, or a weight is too large for `dtype`.
        """
        directory = Path(directory)
        transformers_format.save(self, directory, dtype=dtype)
        config = generation_settings.save(self.config, directory)
        extra = {**config.extra, "architectures": [self.architecture]}
        config.replace(extra=extra).save_pretrained(directory)
        sentence_transformers_format.save_options(self, directory)

    def extend_positions(self, max_position_embeddings: int) -> Self:
        """Returns a copy of the model that takes longer sequences.

        Its table of positions is this model's, repeated: BigBird's authors began with RoBERTa's 512
        positions in this way (paper, section 4). All other weights are copied, LoRA's added to
        their kernels. On sequences of the old length the outputs stay the same. Train the copy on
        longer ones.

        Args:
            max_position_embeddings: Longest sequence of the copy, in tokens.

        Raises:
            ValueError: If it is less than this model has, or the model is quantized.
        """
        longest = self.config.max_position_embeddings
        if check_integer("max_position_embeddings", max_position_embeddings, 1) < longest:
            raise ValueError(
                f"`max_position_embeddings` must be at least the model's own, {longest}. Received: "
                f"max_position_embeddings={max_position_embeddings}"
            )
        arguments = self.get_config()
        if "quantizations" in arguments:
            raise ValueError("A quantized model cannot be extended: do so before `quantize`.")
        config = self.config.replace(max_position_embeddings=max_position_embeddings)
        longer = type(self).from_config({**arguments, "config": config.to_dict()})
        positions.copy_weights(self, longer)
        return longer

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Uploads what `save_pretrained` writes to a repository of the Hugging Face hub.

        Args:
            repo_id: Such as `"user/name"`; made if it is not there.
            private: Whether a new repository is private.
            token: The hub's access token.
            **kwargs: Of `huggingface_hub.HfApi.upload_folder`, such as `commit_message`.
        """
        from huggingface_hub import HfApi

        api = HfApi(token=token)
        with tempfile.TemporaryDirectory() as directory:
            self.save_pretrained(directory)
            repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
            return api.upload_folder(repo_id=repo_id, folder_path=directory, **kwargs)
