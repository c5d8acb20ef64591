"""The command `bigbird-tf`.

Importing TensorFlow takes seconds; `--help` and a mistyped option should not wait for it. So
`bigbird_tf/__init__.py` imports nothing heavy in this command, and each subcommand imports what it
needs.
"""

from bigbird_tf.cli.commands import app, main

__all__ = ["app", "main"]
