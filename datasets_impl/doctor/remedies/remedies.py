"""Remedies that are tried on the user's samples: what each changes, and what it costs.

A remedy gives a dataset to measure in place of the user's, or other settings of the loader. Those
that do not apply say so by being None. Nothing of the user's is changed: wrappers live in the
probe's process, files in its temporary folder.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
from torch.utils.data import default_collate

from datasets_impl.doctor.findings.finding import cheap
from datasets_impl.doctor.findings.integrity import of_each_worker
from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.causes import KINDS
from datasets_impl.doctor.probes.epochs import attribute
from datasets_impl.doctor.probes.loaders import AHEAD, Part, batch_size_of
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.room import DISK, MEMORY, SHARED, Bytes
from datasets_impl.doctor.probes.samples import copied, leaves, size_of
from datasets_impl.doctor.remedies import recipes
from datasets_impl.doctor.remedies.batched import OnBatch, Together, as_it_comes
from datasets_impl.doctor.remedies.remedy import Context, Inapplicable, Remedy, alike
from datasets_impl.doctor.remedies.stored import Stored, Transformed, storable
from datasets_impl.doctor.remedies.threads import HANDS_OVER, WAITS
from datasets_impl.doctor.remedies.unopened import unopened
from datasets_impl.system.cores import cores

LEAST_NEED = 10_000_000  # bytes that are worth a word, of batches
QUICK = 1e-3  # seconds of a sample
MOST_FIELDS = 8  # of a sample, whose batches are written to their place at once


def worker_for_each_core(at: Context) -> list[Remedy]:
    return _workers(at, *_foremost(at))


def other_workers(at: Context) -> list[Remedy]:
    return _workers(
        at, *(count for count in (0, cores(), 2 * cores(), 1) if count not in _foremost(at))
    )


def _foremost(at: Context) -> tuple[int, ...]:
    """Of quick samples none first: that takes no time to start, and is often the best. Of those
    that wait more than there are cores, which wait at the same time."""
    if at.found and at.found[0] in WAITS:
        return (2 * cores(),)
    return (0, cores()) if at.cost < QUICK else (cores(),)


def _workers(at: Context, *counts: int) -> list[Remedy]:
    """Other numbers of workers than the user has."""
    part = unopened(at)
    by_epoch = "epoch" in at.may_change  # which workers that stay are not told
    found = []
    for count in counts:
        if count == at.subject.workers:
            continue
        found.append(
            Remedy(
                f"workers-{count}",
                f"{count} workers" if count != 1 else "1 worker",
                f"DataLoader(..., num_workers={count}"
                + (", persistent_workers=True)" if count and not by_epoch else ")"),
                part,
                count,
                "C08" if count else "C07",
                caution=f"start them anew each epoch ({at.may_change})" if by_epoch else "",
                cost=f"{count} process{'es' if count > 1 else ''}" if count else "",
                mends=WAITS if count else HANDS_OVER,
                needs=_ahead(at, count, at.subject.settings.get("prefetch_factor") or AHEAD),
            )
        )
    return found


def _ahead(at: Context, workers: int, batches: int) -> Bytes:
    """What batches take that workers have ready."""
    sample = size_of(at.samples[0]) if at.samples else 0
    needed = workers * batches * (batch_size_of(at.subject) or 1) * sample
    return {SHARED: needed} if needed > LEAST_NEED else {}


def stored(at: Context) -> list[Remedy]:
    return _kept(at, "stored", "Store the samples decoded, in a mapped file", DISK, "C06")


def cached(at: Context) -> list[Remedy]:
    return _kept(at, "cached", "Keep the samples in memory that workers share", SHARED, "X04")


def _kept(at: Context, name: str, title: str, place: str, claim: str) -> list[Remedy]:
    if not storable(at.samples) or at.cost < cheap(at.seen):
        return []
    if at.may_change or not at.same_each_time:
        why = at.may_change or "samples differ from read to read"
        raise Inapplicable(
            f"Storing or caching samples was not tried, since it would freeze them: {why}"
        )
    if at.subject.keys:
        raise Inapplicable(
            "Storing samples was not tried: the loader's sampler asks for them by keys"
        )
    differ = Inapplicable("Storing samples was not tried: they differ in shape or type")
    size, usual = size_of(at.samples[0]), at.subject.nbytes
    if usual not in (0, size):  # of many that were looked at, where a trial may read few
        raise differ
    count = at.subject.length or len(at.part.indices)
    needs = at.ask_for(title, {place: size * count})
    samples, reading = at.read
    mends = (*KINDS, "python", "decoding", "resizing", "transforming", "decoded-larger", "waiting",
             "reads-too-much", "index-list", "scattered", "opening", "reading", "reopens",
             "lists-folder")  # fmt: skip
    if not storable(samples):
        raise differ
    made = Stored(samples, len(at.part), at.folder, in_memory=place == SHARED)
    lines = recipes.cached if place == SHARED else recipes.stored
    return [
        Remedy(
            name,
            title,
            lines(samples[0]),
            made,
            at.subject.workers,
            claim,
            cost="all samples",
            needs=needs,
            once_seconds=(made.seconds + reading) * at.times,
            mends=mends if place == DISK else ("asking another process",),
        )
    ]


def kept_before_transform(at: Context) -> list[Remedy]:
    """What random samples are made from, kept decoded, and transformed when one is read."""
    transform = attribute(at.subject.dataset, "transform")
    if not callable(transform) or not (at.may_change or not at.same_each_time):
        return []
    title = "Keep pictures decoded, transform when read"
    try:
        part = _without_transform(at)
        first = next(leaves(part[0])).nbytes
    except RAISED:  # it needs its transform, or gives the transform something else
        return []
    forked = at.subject.settings.get("start_method") in (None, "fork")
    copies = 1 if forked else 1 + at.subject.workers
    count = at.subject.length or len(at.part.indices)
    needs = at.ask_for(title, {MEMORY: first * count * copies})
    begun = clock.perf_counter()
    try:
        plain = [part[place] for place in range(len(at.part.indices))]
        reading = clock.perf_counter() - begun
        made = Transformed(plain, len(at.part), transform)
        if not alike(at, made, exactly=True):
            return []
    except RAISED:
        return []
    return [
        Remedy(
            "kept-before-transform",
            title,
            "self.pictures = [self.load(path) for path in self.paths]  # in __init__, decoded\n"
            "# in __getitem__:\n"
            "return self.transform(self.pictures[index])",
            made,
            at.subject.workers,
            "C15",
            cost="all samples",
            needs=needs,
            once_seconds=reading * at.times,
            caution="workers that are not forked each get a copy" if copies == 1 else "",
        )
    ]


def together(at: Context) -> list[Remedy]:
    """A whole batch written to its place at once, for samples of arrays and numbers."""
    loader = at.subject.loader
    if not storable(at.samples) or len(list(leaves(at.samples[0]))) > MOST_FIELDS:
        return []
    if loader and (loader.collate_fn is not default_collate or loader.batch_size is None):
        return []
    if batch_size_of(at.subject) is None:
        return []
    return [
        Remedy(
            "batch-fetch",
            "Write samples into one batch",
            recipes.fetched(at.samples[0]),
            Together(at.part),
            at.subject.workers,
            "X06",
            collate=as_it_comes,
            mends=("collating",),
        )
    ]


def kept_workers(at: Context) -> list[Remedy]:
    """Workers that stay from epoch to epoch, and more batches ahead."""
    workers = at.subject.workers
    if not workers:
        return []
    found = []
    if not at.subject.settings.get("persistent_workers") and "epoch" not in at.may_change:
        found.append(
            Remedy(
                "persistent",
                "Keep workers from epoch to epoch",
                "DataLoader(..., persistent_workers=True)",
                at.part,
                workers,
                "C02",
                whole=True,
                needs=of_each_worker(at.seen, at.subject.length),
                mends=("workers-restart", "lost-cache"),
                caution="from the second epoch on",
            )
        )
    if (at.subject.settings.get("prefetch_factor") or 2) < 4:
        found.append(
            Remedy(
                "prefetch",
                "Prepare more batches ahead",
                "DataLoader(..., prefetch_factor=4)",
                at.part,
                workers,
                "C02",
                changes={"prefetch_factor": 4},
                needs=_ahead(at, workers, 4),
            )
        )
    return found


def _without_transform(at: Context) -> Part:
    bare = copy.copy(at.subject.dataset)
    bare.transform = None
    return Part(replace(at.subject, dataset=bare), at.part.indices, len(at.part))


def transform_on_batch(at: Context) -> list[Remedy]:
    """Where the dataset goes without its `transform`, which takes a batch as it takes a sample."""
    transform = attribute(at.subject.dataset, "transform")
    if not callable(transform) or not at.samples:
        return []
    part = _without_transform(at)
    try:
        some = [part[index] for index in range(len(at.samples))]
    except RAISED:  # it needs its transform
        return []
    if not storable(some) or not isinstance(some[0], torch.Tensor | tuple | list):
        return []
    collate = OnBatch(at.collate, transform)
    expected, made = (next(leaves(one)) for one in (at.collate(copied(at.samples)), collate(some)))
    if expected.kind != made.kind:
        return []
    if at.may_change or not at.same_each_time:
        if "torchvision" not in type(transform).__module__:  # whether it takes a batch is not seen
            return []
    elif not np.allclose(np.asarray(expected.value), np.asarray(made.value), rtol=1e-3, atol=1e-3):
        return []  # a mean over a sample is not one over a batch
    return [
        Remedy(
            "transform-on-batch",
            "Transform whole batches",
            "dataset.transform = None\n"
            + (
                "for batch in loader: batch = transform(batch)  # or on the device"
                if isinstance(some[0], torch.Tensor)
                else "for images, *rest in loader: images = transform(images)  # or on the device"
            ),
            part,
            at.subject.workers,
            "C05",
            collate=collate,
            mends=("transforming",),
            caution="a random transform draws once for the whole batch",
        )
    ]
