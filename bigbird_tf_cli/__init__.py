"""The command `bigbird-tf`.

It is a package beside `bigbird_tf`, since importing anything of that brings in TensorFlow, which
takes seconds: `--help` and a mistyped option should not wait for it.
"""

from bigbird_tf_cli.commands import app, main

__all__ = ["app", "main"]
