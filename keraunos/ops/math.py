"""Segments, logarithms of sums, the largest, Fourier transforms, norms, error functions."""
