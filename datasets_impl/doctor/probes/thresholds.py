"""What probes and findings both know of, since the parent imports no more: sizes from which on a
probe looks closer, and a finding is made."""

LEAST_GROWTH = 16e6  # bytes of a worker, over the samples that were tried
LEAST_SEEN = (
    4e6  # the same, where fewer were tried than there are and all would take `LEAST_GROWTH`
)
LEAST_OF_BATCH = 1e-3  # seconds that a sampler takes for a batch: no step notices less
LEAST_LEAK = 16e6  # bytes an epoch: freed memory that malloc keeps grows by less
TURNS = 1000  # of a Python loop: an item that takes no longer is no problem by itself
LOOPED = 50  # times that a line is begun for a sample, to be called a part of a loop
OF_EACH = "[index]"  # behind the name of a list whose elements are lists


def telling(grown: float, samples: int, of: int) -> bool:
    """Whether a worker that grew so much over some samples would grow by much over all of them."""
    return grown >= LEAST_GROWTH or (
        grown >= LEAST_SEEN and samples > 0 and grown * of / samples >= LEAST_GROWTH
    )
