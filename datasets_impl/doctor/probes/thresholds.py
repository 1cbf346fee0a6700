"""Sizes from which on a probe looks closer, and a finding is made; the parent imports no more."""

LEAST_GROWTH = 16e6  # bytes of a worker, over the samples that were tried
LEAST_LEAK = 16e6  # bytes an epoch: freed memory that malloc keeps grows by less
