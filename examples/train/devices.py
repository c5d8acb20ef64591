"""Where a model is trained: one device, replicas, a TPU, or what `keras.distribution` has."""

import contextlib
import os
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

import bigbird_tf as bb

__all__ = ["Devices", "find_devices"]

BACKEND = keras.backend.backend()


class Devices(NamedTuple):
    """Where, and which part of the data.

    Attributes:
        scope: In which the model is made and compiled.
        host: The number of this process, and how many there are.
    """

    scope: contextlib.AbstractContextManager
    host: tuple[int, int] = (0, 1)


def find_devices(
    replicas: int, tpu: str | None, model_devices: int, make_config: Callable
) -> Devices:
    """Returns what the command's options ask for; call it before anything is computed.

    Args:
        replicas: How many GPUs of this machine, or else parts of its processor.
        tpu: The name of a Cloud TPU, or "local" on its own machine.
        model_devices: On JAX, among how many devices each weight is shared out.
        make_config: Returns the model's config; only called for that.
    """
    if BACKEND == "jax":
        return _jax_devices(model_devices, make_config)
    if model_devices > 1:
        raise ValueError("--model-devices is for KERAS_BACKEND=jax")
    if tpu:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return Devices(tf.distribute.TPUStrategy(resolver).scope())
    if replicas == 1:
        return Devices(contextlib.nullcontext())
    names = [f"GPU:{i}" for i in range(len(tf.config.list_physical_devices("GPU")))][:replicas]
    if not names:
        (cpu,) = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration()] * replicas
        tf.config.set_logical_device_configuration(cpu, parts)
        names = [f"CPU:{i}" for i in range(replicas)]
    if len(names) < replicas:
        raise ValueError(f"--replicas {replicas} needs as many GPUs; there are {len(names)}")
    return Devices(tf.distribute.MirroredStrategy(names).scope())


def _jax_devices(model_devices: int, make_config: Callable) -> Devices:
    import jax

    if "KERAS_DISTRIBUTION_NUM_PROCESSES" in os.environ:
        keras.distribution.initialize()  # reads this and its address and number
    devices = keras.distribution.list_devices()
    # Each process reads its own part of the records.
    own = {"auto_shard_dataset": False}
    if model_devices == 1:
        distribution = keras.distribution.DataParallel(devices=devices, **own)
    else:
        shape = (len(devices) // model_devices, model_devices)
        mesh = keras.distribution.DeviceMesh(shape, ["data", "model"], devices)
        layouts = bb.layout_map(make_config(), mesh)
        distribution = keras.distribution.ModelParallel(
            layout_map=layouts, batch_dim_name="data", **own
        )
    return Devices(distribution.scope(), (jax.process_index(), jax.process_count()))
