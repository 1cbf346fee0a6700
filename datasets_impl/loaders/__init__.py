"""Loaders: what delivers batches where a DataLoader's own way of doing it is the limit.

Each is an iterable of batches, one epoch each time it is iterated.
"""
