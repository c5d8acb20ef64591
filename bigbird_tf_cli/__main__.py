"""`python -m bigbird_tf_cli`: the command, where it is not installed."""

from bigbird_tf_cli.commands import main

if __name__ == "__main__":
    main()
