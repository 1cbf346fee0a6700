"""Loaders: what delivers batches where a DataLoader's own way of doing it is the limit.

Each is an iterable of batches, one epoch each time it is iterated. They are used from the installed
package, of which they import the decoders, the sources and the stored sets. Two modules need so
little that they can be copied into other code: `recycled.py` with `arguments.py` and `errors.py`,
and `ahead.py` with the same two and `threads.py`.
"""
