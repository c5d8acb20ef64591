"""`python -m bigbird_tf.cli`: the command, where it is not installed."""

from bigbird_tf.cli.commands import main

if __name__ == "__main__":
    main()
