"""Compiles for a TPU or a GPU that is not there, by libtpu and by JAX's plugin for CUDA.

TensorFlow functions enter through `jax2tf.call_tf`.
"""

import contextlib
import functools
import importlib
import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import keras
from keras import ops

from benchmarks import hlo_text

__all__ = ["BACKEND", "GPU", "TPU", "compile_for", "compiled_for", "devices_of", "gradients"]

BACKEND = keras.backend.backend()
TPU = "v5e:2x2"
GPU = "NVIDIA H100 80GB HBM3"
# What XLA asks of a device: NVIDIA's numbers of an H100 (SXM5).
_GPU_CONFIG = f"""
gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  shared_memory_per_block_optin: 232448
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 84929347584
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  cuda_compute_capability {{ major: 9 }}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 7 }}
runtime_version {{ major: 12 minor: 8 }}
device_description_str: "{GPU}"
"""
_PLATFORMS = {"tpu": "tpu", "gpu": "cuda"}
MEBI = 2**20


@functools.cache
def devices_of(device: str, chips: str = TPU) -> list:
    """Returns devices that are not there; and prepares JAX for TensorFlow.

    Args:
        device: `"tpu"` or `"gpu"`, of which there is one.
        chips: The topology of a TPU.
    """
    os.environ.update(
        TPU_SKIP_MDS_QUERY="1",
        TPU_ACCELERATOR_TYPE="v5litepod-4",
        TPU_WORKER_HOSTNAMES="localhost",
        # No device is taken, so several processes may compile at a time.
        ALLOW_MULTIPLE_LIBTPU_LOAD="1",
        # Nor are CUDA's libraries there.
        JAX_SKIP_CUDA_CONSTRAINTS_CHECK="1",
    )
    # `call_tf` warns of functions that hold constants, with all their values.
    logging.getLogger("absl").setLevel(logging.ERROR)
    # JAX must not look for the device itself.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from jax.experimental import topologies

    platform = _PLATFORMS[device]
    if BACKEND == "tensorflow":
        from jax.interpreters import mlir

        # The module's name in its package is the function's.
        module = importlib.import_module("jax.experimental.jax2tf.call_tf")
        # TensorFlow's wheel has no kernels of these registered; what XLA is given is the same on
        # CPU.
        mlir.register_lowering(
            module.call_tf_p,
            functools.partial(module._call_tf_lowering, platform="cpu"),
            platform=platform,
        )
    if device == "tpu":
        topology = topologies.get_topology_desc(platform=platform, topology_name=chips)
    else:
        topology = topologies.get_topology_desc(
            platform=platform, topology_name=GPU, topology="1x1x1", target_config=_GPU_CONFIG
        )
    return topology.devices


def compiled_for(device: str, function: Callable, structs: Sequence, **options: Any) -> Any:
    """Returns what JAX makes of a function for devices of `devices_of`.

    Args:
        device: `"tpu"` or `"gpu"`.
        function: Takes and gives tensors of JAX, of static shapes.
        structs: Its arguments: structures of `jax.ShapeDtypeStruct`, with their shardings.
        **options: Of `jax.jit`.
    """
    import jax

    from bigbird_tf.attention.kernels import plan

    # The machine that compiles has no such device to be asked for.
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(plan, "device_type", return_value=device))
        if BACKEND == "jax":
            from bigbird_tf.nn.backend import pallas_attention

            is_interpreted = mock.patch.object(
                pallas_attention, "is_interpreted", return_value=False
            )
            stack.enter_context(is_interpreted)
        traced = jax.jit(function, **options).trace(*structs)
        lowered = traced.lower(lowering_platforms=(_PLATFORMS[device],))
    return lowered.compile()


def compile_for(device: str, function: Callable, arguments: Any) -> dict[str, Any]:
    """Compiles a function of Keras' backend for a device.

    Args:
        device: `"tpu"` or `"gpu"`.
        function: Takes and gives tensors, of static shapes.
        arguments: A list (of lists) of `(shape, dtype)`, the positional arguments.

    Returns:
        `cycles`, in millions, of a TPU, `launches` of a GPU; `temporary_mib`; `accessed_mib`, a
        loop's body once; `loops`, how many there are; and `seconds` of lowering and compiling.
        Where the device's memory would not do, `temporary_mib` is what the compiler says it needs,
        and the numbers before and after it are `None`.
    """
    (first, *_) = devices_of(device)
    import jax

    def is_leaf(x):
        return isinstance(x, tuple)

    sharding = jax.sharding.SingleDeviceSharding(first)
    structs = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf[0], leaf[1], sharding=sharding),
        arguments,
        is_leaf=is_leaf,
    )
    if BACKEND == "tensorflow":
        from jax.experimental import jax2tf

        function = jax2tf.call_tf(function)
    start = time.perf_counter()
    measure = "cycles" if device == "tpu" else "launches"
    try:
        compiled = compiled_for(device, function, structs)
    except jax.errors.JaxRuntimeError as error:
        found = re.search(r"HLO temporaries \(([\d.]+)([MG])\)", str(error))
        if not found:
            raise
        return {
            measure: None,
            "temporary_mib": float(found[1]) * (1024 if found[2] == "G" else 1),
            "accessed_mib": None,
            "loops": None,
            "seconds": time.perf_counter() - start,
        }
    text = compiled.as_text()
    # Of a GPU's program the compiler has no such analysis.
    analysis = compiled.cost_analysis()
    return {
        measure: hlo_text.cycles(text) / 1e6 if device == "tpu" else hlo_text.launches(text),
        "temporary_mib": compiled.memory_analysis().temp_size_in_bytes / MEBI,
        "accessed_mib": analysis["bytes accessed"] / MEBI if analysis else None,
        "loops": text.count(" while("),
        "seconds": time.perf_counter() - start,
    }


def gradients(function: Callable, inputs: list, grad_output) -> list:
    """Returns what flows back to the inputs of a function of their list, on Keras' backend."""
    if BACKEND == "jax":
        import jax

        output, pullback = jax.vjp(lambda *x: function(list(x)), *inputs)
        return list(pullback(ops.reshape(grad_output, output.shape)))
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        output = function(inputs)
    grad_output = tf.reshape(grad_output, output.shape)
    return tape.gradient(output, inputs, output_gradients=grad_output)
