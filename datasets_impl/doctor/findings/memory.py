"""What workers hold in memory, or are sent, that they need not."""

from __future__ import annotations

from itertools import pairwise

from datasets_impl.doctor.findings.finding import (
    LARGE_PICKLE,
    MECHANISM,
    STEADY,
    Finding,
    Probes,
)
from datasets_impl.doctor.findings.user_lines import loader_places, shown
from datasets_impl.doctor.probes.thresholds import LEAST_GROWTH, LEAST_LEAK, telling

PACK = """\
pieces = [pickle.dumps(one, -1) for one in {name}]
self.ends = np.cumsum([len(piece) for piece in pieces])  # one block, no counts inside
self.{name} = np.frombuffer(b"".join(pieces), np.uint8)
# pickle.loads(self.{name}[self.ends[index - 1] if index else 0 : self.ends[index]]) is one again"""
KEYS = """\
keys, {name} = zip(*sorted({name}.items()))
self.keys = np.array(keys)  # np.searchsorted(self.keys, key) is the index of one
"""
ARRAYS = {  # type of the objects -> how they lie in one array
    "int": "self.{name} = np.array({name})",
    "float": "self.{name} = np.array({name})",
    "bool": "self.{name} = np.array({name})",
    "str": "self.{name} = np.array([one.encode() for one in {name}])"
    "  # one block; self.{name}[index].decode() is one again",
    "PosixPath": "self.{name} = np.array([os.fsencode(one) for one in {name}])"
    "  # one block; Path(os.fsdecode(self.{name}[index])) is one again",
}


def packed_lines(name: str, kind: str, element: str) -> str:
    """How a `kind` of container of so many objects becomes arrays, by the type of these."""
    name = name if name.isidentifier() else "records"
    if kind == "set":
        return f"self.{name} = np.array(sorted({name}))  # for np.searchsorted"
    keys = KEYS if kind == "dict" else ""
    return (keys + ARRAYS.get(element, PACK)).replace("{name}", name)


def large_pickle(seen: Probes) -> Finding | None:
    size = seen.get("pickled", {}).get("bytes", 0)
    method = seen.get("inside", {}).get("start_method")
    workers = seen.get("settings", {}).get("num_workers", 0)
    if size < LARGE_PICKLE or not workers or method not in ("spawn", "forkserver"):
        return None
    name, part = seen["pickled"].get("largest") or ["data", 0]
    most = f", {part / 1e6:,.0f} MB of it self.{name}," if part else ""
    return Finding(
        "large-pickle",
        f"Every worker is sent {size / 1e6:,.0f} MB",
        f"The dataset pickles to {size / 1e6:,.0f} MB{most} and workers start by {method}: each "
        "gets a copy before its first batch.",
        "Open mappings and stores in each worker, and share one tensor instead of arrays.",
        MECHANISM + 0.75,
        "X01",
        "def __getstate__(self):\n"
        f"    return {{**self.__dict__, '{name}': None}}  # opened again on first use",
        shown(seen["pickled"].get("largest_lines", [])) or loader_places(seen),
    )


def grows(seen: Probes) -> Finding | None:
    """Workers copy a list of Python objects by reading it."""
    answer = seen.get("growth", {})
    inside = seen.get("inside", {})
    lists = inside.get("big_lists", [])
    if not answer.get("private") or not lists:
        return None
    grown = answer["private"][0] - answer["few"]
    samples = answer["samples"]
    if not samples or not telling(grown, samples, answer.get("of", samples)):
        return None
    path, count, element = lists[0]
    packed = answer.get("packed")
    proved = packed is not None and packed < grown / 2
    if grown < LEAST_GROWTH and not proved:  # of few samples it may have come from anything
        return None
    return Finding(
        "grows",
        "Workers copy a list of Python objects",
        f"{path} holds {count:,} objects ({element}); each worker grew by "
        f"{grown / 1e6:,.0f} MB over {answer['samples']:,} samples, since reading one changes "
        "its reference count."
        + (f" Packed into one array, they grew it by {packed / 1e6:,.0f} MB." if proved else ""),
        "Keep the records in an array or a packed tensor." if proved else "",
        MECHANISM + 0.65,
        "C09",
        packed_lines(path.rpartition(".")[2], inside.get("big_list_kind", "list"), element),
        shown(inside.get("big_list_lines", [])),
    )


def leaks(seen: Probes) -> Finding | None:
    """Memory that goes on growing when the same samples are read again."""
    private = seen.get("growth", {}).get("private", [])
    if len(private) < 3:
        return None
    steps = [later - earlier for earlier, later in pairwise(private)]
    if min(steps) < LEAST_LEAK or min(steps) < STEADY * max(steps):
        return None
    return Finding(
        "leaks",
        "Workers grow with every epoch",
        f"By {min(steps) / 1e6:,.0f} MB an epoch at least, over the same samples.",
        "Look for what is appended to, or cached without a limit, when a sample is read.",
        MECHANISM + 0.64,
        places=shown(seen.get("integrity", {}).get("lines", {}).get("caches", [])),
    )
