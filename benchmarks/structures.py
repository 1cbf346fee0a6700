"""Access to lists, arrays and tensors (C10)."""

from .common import _Benchmark, tracked
from .grids import star
from .measures.samples import access

FACTORS = ["n", "record", "access", "structure"]


class ByAccess(_Benchmark):
    needs_corpus = False
    param_names = FACTORS
    params = star(
        FACTORS,
        record=("label", "image"),
        access=("item", "batch"),
        structure=("list", "numpy", "tensor"),
    )

    track_access = tracked(access, "ns")
