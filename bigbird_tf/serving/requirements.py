"""Imported first in this room, so that who lacks TensorFlow reads what to install."""

from bigbird_tf.requirements import require_tensorflow

require_tensorflow("SavedModels and the predictor")
