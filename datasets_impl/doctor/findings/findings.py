"""Everything that is found, the most telling first."""

from __future__ import annotations

from collections.abc import Callable

from datasets_impl.doctor.findings.again import (
    index_list,
    large_chunks,
    packed_archive,
    read_whole,
    unindexed,
    whole_storage,
)
from datasets_impl.doctor.findings.crowded import (
    bound_to_cores,
    idle_workers,
    more_workers_than_cores,
    too_many_threads,
)
from datasets_impl.doctor.findings.empty import (
    empty_batch,
    init_raises,
    no_batch,
    no_samples,
    not_finite,
    nothing,
    sampler_raises,
    second_empty,
)
from datasets_impl.doctor.findings.finding import (
    Finding,
    Probes,
)
from datasets_impl.doctor.findings.handing import pickled_batches
from datasets_impl.doctor.findings.hazards import (
    alike,
    all_from_each,
    broken,
    cannot_start,
    frozen,
    handles,
    lengths,
    not_collated,
    requires_grad,
    same_in_epochs,
    same_in_workers,
    seeded,
    shared,
)
from datasets_impl.doctor.findings.integrity import (
    endless_cache,
    kept_random,
    lost_cache,
    moved_apart,
    paired,
    replaced,
    rewritten,
    same_order,
    stale_epoch,
    swallowed,
    unsorted,
)
from datasets_impl.doctor.findings.machine import (
    far_away,
    few_descriptors,
    little_memory,
    slow_disk,
    small_shared_memory,
    swaps,
)
from datasets_impl.doctor.findings.mechanisms import (
    connects,
    decoded_larger,
    lists_folder,
    many_tensors,
    outlier,
    reopens,
    split_late,
    wait_in_turn,
    workers_cost,
)
from datasets_impl.doctor.findings.memory import grows, large_pickle, leaks
from datasets_impl.doctor.findings.repeated import done_twice, same_work
from datasets_impl.doctor.findings.searching import all_for_one, scattered, searches_list
from datasets_impl.doctor.findings.sizes import computes_too_much, float64, padded, wide_values
from datasets_impl.doctor.findings.starting import (
    reads_all_first,
    slow_sampler,
    slow_to_make,
    stream_start,
    workers_restart,
)
from datasets_impl.doctor.findings.stuck import stuck, workers_hang
from datasets_impl.doctor.findings.time_causes import time_causes

HAZARDS: tuple[Callable[[Probes], Finding | None], ...] = (
    no_samples, no_batch, init_raises, sampler_raises, second_empty, empty_batch, nothing, alike,
    not_finite,
    cannot_start, stuck, workers_hang,
    all_from_each, frozen, same_in_workers, same_in_epochs, broken, lengths, not_collated,
    requires_grad, handles,
    outlier, read_whole, whole_storage, large_chunks, packed_archive, index_list, same_work,
    unindexed, large_pickle, lists_folder, grows, leaks, reopens, workers_cost, decoded_larger,
    float64, too_many_threads, unsorted, shared, small_shared_memory, few_descriptors,
    little_memory, more_workers_than_cores, swaps, far_away, kept_random, rewritten, stale_epoch,
    swallowed, moved_apart, replaced, paired, lost_cache, endless_cache, same_order, slow_sampler,
    reads_all_first, slow_to_make, stream_start, many_tensors, workers_restart, searches_list,
    slow_disk, wait_in_turn, split_late, seeded, wide_values, computes_too_much, padded,
    bound_to_cores, idle_workers, done_twice, connects, pickled_batches, all_for_one,
    scattered,
)  # fmt: skip


def findings(seen: Probes) -> list[Finding]:
    """Everything found, the most telling first."""
    made = [hazard(seen) for hazard in HAZARDS]
    return sorted(
        [*(one for one in made if one is not None), *time_causes(seen)],
        key=lambda finding: -finding.rank,
    )
