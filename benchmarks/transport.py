"""What it costs to hand a sample from a worker to the trainer (X03)."""

from datasets_impl.experiments.free_samples import CARRIERS

from .common import _Benchmark, tracked
from .grids import GRID, star
from .measures.samples import transport

FACTORS = ["kib", "carrier", "workers"]


class BySize(_Benchmark):
    """Samples that cost nothing, from a worker beside without one."""

    version = "2"  # since 2: from a worker, a hundred samples at least
    needs_corpus = False
    param_names = FACTORS
    params = star(FACTORS, kib=GRID.sample_kib, carrier=CARRIERS, workers=(0, 1))

    track_transport = tracked(transport, "us")
