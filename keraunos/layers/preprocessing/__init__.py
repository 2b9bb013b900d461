"""Layers that turn raw data into tensors: numbers, categories, text, sound and images."""
