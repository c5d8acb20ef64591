"""`PretrainedModel`: what all BigBird models share around their computation."""

import contextlib
import os
from pathlib import Path

import keras

from bigbird_tf.config import BigBirdConfig
from bigbird_tf.config_checks import check_integer
from bigbird_tf.models.checked_model import CheckedModel
from bigbird_tf.nn.backend import compute_spec
from bigbird_tf.training import (
    compute_over_global_batch,
    sum_gradients_first,
    with_known_lengths,
)

__all__ = ["PretrainedModel"]


class PretrainedModel(CheckedModel):
    """A `keras.Model` built from a `BigBirdConfig`, saved in the form that `transformers` uses.

    All weights exist as soon as the model is made. Subclasses say in `special_ids` which special
    ids of the config they read.

    Args:
        config: A `BigBirdConfig`, or its dictionary.
        **kwargs: Of `keras.Model`: `name`, `dtype` (such as `"mixed_bfloat16"`), `trainable`.
    """

    special_ids: tuple[str, ...] = ()
    # Arguments of the constructor, and of `from_pretrained`, besides the config.
    options: tuple[str, ...] = ()

    def __init__(self, config: BigBirdConfig | dict, **kwargs):
        super().__init__(**kwargs)
        if isinstance(config, dict):
            config = BigBirdConfig.from_dict(config)
        if not isinstance(config, BigBirdConfig):
            raise ValueError(
                f"`config` must be a `BigBirdConfig`. Received: {type(config).__name__}. For a "
                f"checkpoint, call `{type(self).__name__}.from_pretrained(name_or_path)`."
            )
        self.config = config
        self._quantizations = []

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
        dtype=None,
        **config_overrides,
    ):
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
        from bigbird_tf.checkpoints import sentence_transformers_format, transformers_format

        hub_options = {
            "revision": revision,
            "cache_dir": cache_dir,
            "token": token,
            "local_files_only": local_files_only,
        }
        given = {
            name: config_overrides.pop(name) for name in cls.options if name in config_overrides
        }
        config = BigBirdConfig.from_pretrained(name_or_path, **hub_options, **config_overrides)
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
        return type(self).__name__

    def save_pretrained(self, directory: str | os.PathLike, *, dtype: str | None = None) -> None:
        """Writes `config.json` and `model.safetensors`, which `transformers` loads too.

        Args:
            directory: The folder; made if it is not there.
            dtype: The dtype to store weights in: `"float16"` or `"bfloat16"` for half the size,
                `"float32"`; `None` for the weights' own.

        Raises:
            ValueError: If the model is quantized, or a weight is too large for `dtype`.
        """
        from bigbird_tf.checkpoints import sentence_transformers_format, transformers_format

        directory = Path(directory)
        transformers_format.save(self, directory, dtype=dtype)
        extra = {**self.config.extra, "architectures": [self.architecture]}
        self.config.replace(extra=extra).save_pretrained(directory)
        sentence_transformers_format.save_options(self, directory)

    def push_to_hub(self, repo_id: str, *, private: bool | None = None, token=None, **kwargs):
        """Uploads what `save_pretrained` writes to a repository of the Hugging Face hub.

        Args:
            repo_id: Such as `"user/name"`; made if it is not there.
            private: Whether a new repository is private.
            token: The hub's access token.
            **kwargs: Of `huggingface_hub.HfApi.upload_folder`, such as `commit_message`.
        """
        import tempfile

        from huggingface_hub import HfApi

        api = HfApi(token=token)
        with tempfile.TemporaryDirectory() as directory:
            self.save_pretrained(directory)
            repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
            return api.upload_folder(repo_id=repo_id, folder_path=directory, **kwargs)

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        *,
        loss_weights=None,
        metrics="auto",
        weighted_metrics="auto",
        **kwargs,
    ):
        """Configures training; like `keras.Model.compile`, with defaults for what the head is for.

        Args:
            optimizer: `"auto"` is AdamW with learning rate 5e-5, weight decay 0.01 (none for biases
                and normalisation) and gradients clipped to a global norm of 1.
            loss: `"auto"` is the head's loss.
            loss_weights: As in Keras; by default those of the head's loss.
            metrics: `"auto"` is the head's metrics.
            weighted_metrics: `"auto"` is the head's metrics that heed sample weights.
            **kwargs: As in Keras. `jit_compile="auto"`, the default, is Keras' own rule: XLA on
                GPU, not on CPU (where the graph is faster), and not under a `tf.distribute`
                strategy (`TPUStrategy` compiles by itself).

        A model that was made in the scope of a `tf.distribute` strategy with several replicas
        trains as it would on one device: losses are means over the global batch, and the optimizer
        clips the sum of the replicas' gradients.
        """
        self._has_default_optimizer = isinstance(optimizer, str) and optimizer == "auto"
        if self._has_default_optimizer:
            with self._strategy_scope():
                optimizer = keras.optimizers.AdamW(5e-5, weight_decay=0.01, global_clipnorm=1.0)
            _exclude_from_weight_decay(optimizer)
        if isinstance(loss, str) and loss == "auto":
            loss = self._default_loss()
            loss_weights = loss_weights or self._default_loss_weights()
        if isinstance(metrics, str) and metrics == "auto":
            metrics = self._default_metrics()
        if isinstance(weighted_metrics, str) and weighted_metrics == "auto":
            weighted_metrics = self._default_weighted_metrics()
        with self._strategy_scope():
            super().compile(
                optimizer=optimizer,
                loss=loss,
                loss_weights=loss_weights,
                metrics=metrics,
                weighted_metrics=weighted_metrics,
                **kwargs,
            )
        if self._has_several_replicas():
            if self._compile_loss is not None:
                compute_over_global_batch(self._compile_loss)
            if self.optimizer is not None:
                sum_gradients_first(self.optimizer)

    def compute_output_spec(self, inputs, *args, **kwargs):
        """Returns shapes and dtypes of what a call returns, `None` for sizes that are unknown."""
        compute = super().compute_output_spec
        return compute_spec(lambda inputs: compute(inputs, *args, **kwargs), inputs)

    def make_train_function(self, force=False):
        """Makes the function that `fit` runs; the optimizer's variables are made before it.

        All weights are known by now. Left to Keras, the variables would be made inside the
        function, which then is traced twice: half of the wait before the first step.
        """
        if not self.optimizer.built:
            with self._strategy_scope():
                self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    @property
    def _strategy(self):
        """The `tf.distribute` strategy that the model was made in; `None` on other backends."""
        return getattr(self, "distribute_strategy", None)

    def _strategy_scope(self):
        return contextlib.nullcontext() if self._strategy is None else self._strategy.scope()

    def _has_several_replicas(self) -> bool:
        return self._strategy is not None and self._strategy.num_replicas_in_sync > 1

    def train_step(self, *arguments):
        """Trains on one batch; see `keras.Model`."""
        # Before the data, there is a state on JAX.
        *state, data = arguments
        return super().train_step(*state, with_known_lengths(data))

    def test_step(self, *arguments):
        """Evaluates one batch; see `keras.Model`."""
        *state, data = arguments
        return super().test_step(*state, with_known_lengths(data))

    def predict_step(self, *arguments):
        """Predicts one batch; see `keras.Model`."""
        *state, data = arguments
        return super().predict_step(*state, with_known_lengths(data))

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Builds losses and metrics from the first replica's batch.

        Keras takes the mean of the replicas' batches, which makes floats of ids, and which they
        have not where their batches are unequal.
        """
        if iterator is not None and self._has_several_replicas():
            for _, _, batches in iterator:
                data_batch = keras.tree.map_structure(
                    lambda x: self._strategy.experimental_local_results(x)[0],
                    next(batches),
                )
                iterator = None
                break
        super()._maybe_symbolic_build(iterator, data_batch)

    def get_compile_config(self):
        """Gives what `compile_from_config` needs to configure training the same way."""
        config = super().get_compile_config()
        if config:
            config["has_default_optimizer"] = self._has_default_optimizer
        return config

    def compile_from_config(self, config):
        """Configures training as it was when the model was saved."""
        config = dict(config)
        has_default_optimizer = config.pop("has_default_optimizer")
        config = keras.saving.deserialize_keras_object(config)
        if has_default_optimizer:
            # Keras does not save what is excluded.
            _exclude_from_weight_decay(config["optimizer"])
        self.compile(**config)
        self._has_default_optimizer = has_default_optimizer
        self.optimizer.build(self.trainable_variables)

    def _default_loss(self):
        raise ValueError(
            f"`{type(self).__name__}` has no task of its own: pass `loss` to `compile()`, or use a "
            "model with a head, such as `BigBirdForSequenceClassification`."
        )

    def _default_loss_weights(self):
        return None

    def _default_metrics(self):
        return None

    def _default_weighted_metrics(self):
        return None

    def enable_lora(self, rank: int) -> None:
        """Leaves little to train: low-rank additions to query and value projections, and the head.

        All else of the encoder is frozen (LoRA: Hu et al., 2021). Call it before `compile`. What is
        saved has the additions in its kernels: it loads as an ordinary model, and the optimizer's
        state has no place in that.

        Args:
            rank: Rank of the additions.

        Raises:
            ValueError: If `rank` is no positive integer, or there is LoRA already.
        """
        rank = check_integer("rank", rank, 1)
        backbone = getattr(self, "backbone", self)
        blocks = backbone.encoder.blocks
        if any(block.attention.query_dense.lora_enabled for block in blocks):
            raise ValueError("The model has LoRA already; it can be enabled once only.")
        # Variables, not layers: those in frozen layers would not train at all.
        for variable in backbone.trainable_variables:
            variable.trainable = False
        for block in blocks:
            for dense in (block.attention.query_dense, block.attention.value_dense):
                dense.enable_lora(rank)

    def quantize(self, mode=None, config=None, filters=None, **kwargs):
        """Quantizes weights, like `keras.Model.quantize`; a `.keras` file keeps them that way.

        Args:
            mode: Such as `"int8"`.
            config: A `keras.quantizers.QuantizationConfig`, instead of a mode.
            filters: Regular expressions: the layers whose names match are quantized; `None` for
                all that Keras can quantize.
            **kwargs: As in Keras.
        """
        super().quantize(mode, config=config, filters=filters, **kwargs)
        self._quantizations.append({"mode": mode, "config": config, "filters": filters})

    def get_config(self):
        """Gives all constructor arguments."""
        config = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "config": self.config.to_dict(),
        }
        if self._quantizations:
            config["quantizations"] = [
                {**call, "config": keras.saving.serialize_keras_object(call["config"])}
                for call in self._quantizations
            ]
        return config

    @classmethod
    def from_config(cls, config):
        """Makes a model of what `get_config` gave."""
        config = dict(config)
        quantizations = config.pop("quantizations", ())
        model = cls(**config)
        for call in quantizations:
            # Quantized layers have other variables, which must be there before weights are loaded.
            model.quantize(**keras.saving.deserialize_keras_object(call))
        return model

    def get_build_config(self):
        """Gives nothing: the config alone decides the weights, and they are there already."""
        return None


def _exclude_from_weight_decay(optimizer):
    # `LossScaleOptimizer` does not hand on what is excluded.
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
