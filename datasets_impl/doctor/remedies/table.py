"""All remedies. Those for one cause come first: of slow samples there may not be time for all."""

from __future__ import annotations

from collections.abc import Callable

from datasets_impl.doctor.remedies.as_tensors import converted
from datasets_impl.doctor.remedies.clones import clones
from datasets_impl.doctor.remedies.collating import (
    arrays_first,
    one_tensor_a_field,
    stacked_first,
)
from datasets_impl.doctor.remedies.columns import columns
from datasets_impl.doctor.remedies.cropped_first import cropped_first
from datasets_impl.doctor.remedies.crowded import crowded
from datasets_impl.doctor.remedies.decoding import another_decoder, reduced_size
from datasets_impl.doctor.remedies.drawn import drawn
from datasets_impl.doctor.remedies.grouped import grouped
from datasets_impl.doctor.remedies.hashed import hashed
from datasets_impl.doctor.remedies.indexed import indexed
from datasets_impl.doctor.remedies.kept_results import read_once, stored_results, unpacked
from datasets_impl.doctor.remedies.mapped import mapped
from datasets_impl.doctor.remedies.narrowed import narrowed
from datasets_impl.doctor.remedies.on_batch import held_transforms
from datasets_impl.doctor.remedies.once_a_sample import once_a_sample
from datasets_impl.doctor.remedies.opened_once import opened_once
from datasets_impl.doctor.remedies.preloaded import preloaded
from datasets_impl.doctor.remedies.rechunked import rechunked
from datasets_impl.doctor.remedies.remedies import (
    cached,
    kept_before_transform,
    kept_workers,
    other_workers,
    stored,
    together,
    transform_on_batch,
    worker_for_each_core,
)
from datasets_impl.doctor.remedies.remedy import Context, Remedy
from datasets_impl.doctor.remedies.row_groups import row_groups
from datasets_impl.doctor.remedies.sliced_first import sliced_first
from datasets_impl.doctor.remedies.substitutes import substitutes
from datasets_impl.doctor.remedies.threads import threads
from datasets_impl.doctor.remedies.turned import turned
from datasets_impl.doctor.remedies.uneven import uneven
from datasets_impl.doctor.remedies.unlocked import unlocked
from datasets_impl.doctor.remedies.unpadded import unpadded
from datasets_impl.doctor.remedies.unwritten import unwritten

REMEDIES: tuple[Callable[[Context], list[Remedy]], ...] = (
    mapped,
    rechunked,
    indexed,
    sliced_first,
    clones,
    unpacked,
    read_once,
    row_groups,
    once_a_sample,
    stored_results,
    substitutes,
    columns,
    grouped,
    hashed,
    turned,
    drawn,
    unwritten,
    arrays_first,
    opened_once,
    unlocked,
    stacked_first,
    narrowed,
    unpadded,
    cropped_first,
    one_tensor_a_field,
    converted,
    crowded,
    worker_for_each_core,
    transform_on_batch,
    held_transforms,
    reduced_size,
    stored,
    another_decoder,
    threads,
    uneven,
    cached,
    kept_before_transform,
    together,
    kept_workers,
    preloaded,
    other_workers,
)
