"""What probes and findings both know of, since the parent imports no more: sizes from which on a
probe looks closer, and a finding is made."""

LEAST_GROWTH = 16e6  # bytes of a worker, over the samples that were tried
LEAST_LEAK = 16e6  # bytes an epoch: freed memory that malloc keeps grows by less
LOOPED = 50  # times that a line is begun for a sample, to be called a part of a loop
