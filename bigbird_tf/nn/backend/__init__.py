"""Functions that Keras does not have, the same for each backend; chosen once, at import.

Nothing outside of this folder asks which backend there is.
"""

import keras

NAME = keras.backend.backend()
if NAME == "tensorflow":
    from bigbird_tf.nn.backend import tensorflow as _backend
elif NAME == "jax":
    from bigbird_tf.nn.backend import jax as _backend  # type: ignore[no-redef]
else:
    raise ImportError(
        "`bigbird_tf` runs on Keras' backends 'tensorflow' and 'jax': set the environment variable "
        "KERAS_BACKEND to one of them before Keras is imported. Received: "
        f"keras.backend.backend()={NAME!r}"
    )

SEED_DTYPE = _backend.SEED_DTYPE
call_on_shares = _backend.call_on_shares
call_traced_once = _backend.call_traced_once
check_in_range = _backend.check_in_range
check_when_run = _backend.check_when_run
compile_function = _backend.compile_function
compute_spec = _backend.compute_spec
computed_once = _backend.computed_once
device_type = _backend.device_type
draw_seed = _backend.draw_seed
fused_kernels = _backend.fused_kernels
has_exact_bfloat16_softmax = _backend.has_exact_bfloat16_softmax
has_half_precision_products = _backend.has_half_precision_products
is_compiled_by_xla = _backend.is_compiled_by_xla
overwrite_at = _backend.overwrite_at
recompute_barrier = _backend.recompute_barrier
replica_context = _backend.replica_context
run_after = _backend.run_after
same_shape = _backend.same_shape
serial_map = _backend.serial_map
share_of = _backend.share_of
sorted_segment_sum = _backend.sorted_segment_sum
take = _backend.take
write_at = _backend.write_at

__all__ = [
    "NAME",
    "SEED_DTYPE",
    "call_on_shares",
    "call_traced_once",
    "check_in_range",
    "check_when_run",
    "compile_function",
    "compute_spec",
    "computed_once",
    "device_type",
    "draw_seed",
    "fused_kernels",
    "has_exact_bfloat16_softmax",
    "has_half_precision_products",
    "is_compiled_by_xla",
    "overwrite_at",
    "recompute_barrier",
    "replica_context",
    "run_after",
    "same_shape",
    "serial_map",
    "share_of",
    "sorted_segment_sum",
    "take",
    "write_at",
]
