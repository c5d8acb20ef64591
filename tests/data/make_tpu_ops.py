"""Lists the ops that have a kernel on TPUs, as `tensorflow-tpu` registers them, in `tpu_ops.txt`.

    pip install --no-deps --target TPU tensorflow-tpu==2.20.0 libtpu==0.0.27
    PYTHONPATH=TPU python tests/data/make_tpu_ops.py

That package has the same files as `tensorflow`: it needs a folder of its own. No TPU is needed.
"""

import contextlib
from pathlib import Path

import tensorflow as tf
from tensorflow.python.framework import kernels

FILE = Path(__file__).parent / "tpu_ops.txt"
DEVICE = "XLA_TPU_JIT"

if __name__ == "__main__":
    # Kernels for compilation are registered when something is to be compiled for the first time;
    # that it cannot be run here does not matter.
    with contextlib.suppress(tf.errors.NotFoundError):
        tf.function(tf.square, jit_compile=True)(tf.ones(3))
    registered = kernels.get_all_registered_kernels().kernel
    names = sorted({kernel.op for kernel in registered if kernel.device_type == DEVICE})
    assert names, f"this TensorFlow has no kernels for TPUs: {tf.__file__}"
    FILE.write_text("\n".join([f"# Of tensorflow-tpu {tf.__version__}", *names]) + "\n")
