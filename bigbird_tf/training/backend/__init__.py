"""What callbacks of training do differently by backend; chosen once, at import."""

from bigbird_tf.nn.backend import NAME

if NAME == "tensorflow":
    from bigbird_tf.training.backend import tensorflow as _backend
else:
    from bigbird_tf.training.backend import jax as _backend  # type: ignore[no-redef]

build_from_data = _backend.build_from_data
collect_state = _backend.collect_state
TokenCount = _backend.TokenCount
END_OF_DATA = _backend.END_OF_DATA
RUNS_AHEAD = _backend.RUNS_AHEAD
gather = _backend.gather
host = _backend.host
is_preempted = _backend.is_preempted
optimizer_value = _backend.optimizer_value
read_iterator = _backend.read_iterator
read_variables = _backend.read_variables
write_iterator = _backend.write_iterator
write_variables = _backend.write_variables

__all__ = [
    "END_OF_DATA",
    "RUNS_AHEAD",
    "TokenCount",
    "build_from_data",
    "collect_state",
    "gather",
    "host",
    "is_preempted",
    "optimizer_value",
    "read_iterator",
    "read_variables",
    "write_iterator",
    "write_variables",
]
