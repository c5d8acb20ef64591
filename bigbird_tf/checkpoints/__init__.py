"""Reading and writing checkpoints, one file a source."""
