"""Summarise the source of this machine's own Python packages: data, training, ROUGE."""
