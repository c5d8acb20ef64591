"""One program for training on one device or many."""
