"""The version, in a file of its own so that the build can read it without TensorFlow."""

__version__ = "0.2.0"
