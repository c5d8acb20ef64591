"""Runnable examples of bigbird_tf."""
