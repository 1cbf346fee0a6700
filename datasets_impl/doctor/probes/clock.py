"""The clock as it was before the user's code, which may set its own hands to it."""

from time import monotonic, perf_counter, perf_counter_ns, process_time, sleep, thread_time

__all__ = ["monotonic", "perf_counter", "perf_counter_ns", "process_time", "sleep", "thread_time"]
