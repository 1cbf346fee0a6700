"""The clock as it was before the user's code, which may set its own hands to it."""

from statistics import median
from time import monotonic, perf_counter, perf_counter_ns, process_time, sleep, thread_time

TIMED = 20_000  # turns, about a thousandth of a second
TIMES = 7  # another program that takes the core for one of them changes nothing


def turn() -> float:
    """Seconds that one turn of a Python loop takes on this machine, as busy as it is now."""
    found = []
    for _ in range(TIMES):
        begun = perf_counter()
        sum(number * number for number in range(TIMED))
        found.append((perf_counter() - begun) / TIMED)
    return median(found)


__all__ = ["monotonic", "perf_counter", "perf_counter_ns", "process_time", "sleep", "thread_time",
           "turn"]  # fmt: skip
