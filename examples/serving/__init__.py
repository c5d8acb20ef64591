"""Clients and settings for TensorFlow Serving."""
