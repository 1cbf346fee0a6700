"""Loaders whose epoch ends in an error, that have one epoch, or whose workers cannot start."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, Sampler, TensorDataset

from datasets_impl.doctor.findings.finding import Finding
from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.probes.batches import batches
from datasets_impl.doctor.probes.growth import growth
from datasets_impl.doctor.probes.inside import look_inside
from datasets_impl.doctor.probes.looking import look
from datasets_impl.doctor.probes.profiling import causes
from datasets_impl.doctor.probes.raised import INIT, sentence
from datasets_impl.doctor.probes.starting import starting
from datasets_impl.doctor.probes.target import Subject, subject_of
from datasets_impl.doctor.process.heard import Heard
from datasets_impl.doctor.report.diagnosis import diagnose
from datasets_impl.doctor.report.verdict import not_done

ROWS = TensorDataset(torch.arange(64))


class Ends(Sampler[int]):
    """Gives some, then raises."""

    def __init__(self, some: int) -> None:
        self.some = some

    def __iter__(self) -> Iterator[int]:
        yield from range(self.some)
        if self.some < len(ROWS):
            raise OSError("order gone")


class Batches(Ends):
    def __iter__(self) -> Iterator[Any]:
        yield from ([one] for one in super().__iter__())


def first(seen: dict[str, Any]) -> Finding | None:
    return next(iter(findings(json.loads(json.dumps(seen)))), None)


def of(sampler: Any) -> Subject:
    if isinstance(sampler, Batches):
        return subject_of("x", DataLoader(ROWS, batch_sampler=sampler))
    return subject_of("x", DataLoader(ROWS, 8, sampler=sampler))


@pytest.mark.parametrize(
    ("sampler", "gave"),
    [(Ends(1), "Ends gave 1 index,"), (Ends(20), "20 indices,"), (Batches(2), "2 batches,")],
)
def test_a_sampler_that_raises_is_told_with_its_line(sampler: Any, gave: str) -> None:
    seen = {"inside": look_inside(of(sampler), 1.0)}
    told = first(seen)
    assert told is not None and told.name == "sampler-raises" and gave in told.evidence
    assert (
        "OSError: order gone" in told.evidence and 'raise OSError("order gone")' in told.places[0]
    )
    assert diagnose("x", Heard(seen)).verdict.startswith("The sampler raises (test_doctor_once.py:")


def test_one_that_raises_at_once_may_wait_for_the_training() -> None:
    seen = {"inside": look_inside(of(Ends(0)), 1.0)}
    assert first(seen) is None
    (said,) = [one for one in not_done(Heard(seen), seen, []) if "sampler raised" in one]
    assert "OSError: order gone" in said and "read by number" in said


class Given(Sampler[int]):
    """As it was made, once."""

    def __init__(self) -> None:
        self.order = iter(range(len(ROWS)))

    def __iter__(self) -> Iterator[int]:
        return self.order


class Stream(IterableDataset[Any]):
    def __init__(self, count: int = 40) -> None:
        self.count, self.left = count, iter(range(count))

    def __iter__(self) -> Iterator[Any]:
        return (torch.full((3,), one) for one in self.left)


class Anew(Stream):
    def __iter__(self) -> Iterator[Any]:
        return (torch.full((3,), one) for one in range(self.count))


class Resets(Stream):
    """Is its own iterator, and begins anew."""

    def __iter__(self) -> Iterator[Any]:
        self.left = iter(range(self.count))
        return self

    def __next__(self) -> Any:
        return torch.full((3,), next(self.left))


@pytest.mark.parametrize("sampler", [Given, lambda: iter(range(64))])
def test_a_sampler_for_one_epoch_is_found(sampler: Callable[[], Any]) -> None:
    told = first({"starting": starting(of(sampler()), 2.0)})
    assert told is not None and told.name == "second-empty"
    assert "can be gone over once" in told.evidence
    assert sampler is not Given or "def __iter__" in told.places[0]


@pytest.mark.parametrize("sampler", [lambda: Ends(64), lambda: list(range(64)), lambda: range(64)])
def test_samplers_that_begin_anew_are_fine(sampler: Callable[[], Any]) -> None:
    subject = of(sampler())
    assert first({"starting": starting(subject, 2.0), "inside": look_inside(subject, 1.0)}) is None


def of_stream(made: Any, **options: Any) -> dict[str, Any]:
    subject = subject_of("x", DataLoader(made, 8, **options) if options else made)
    subject.answers["look"] = look(subject, 1.0)
    found = {"look": subject.answers["look"], "settings": subject.settings}
    return found | {"causes": causes(subject, 0.5)}


@pytest.mark.parametrize(
    "options", [{}, {"num_workers": 0}, {"num_workers": 1, "persistent_workers": True}]
)
def test_a_stream_for_one_epoch_is_found(options: dict[str, Any]) -> None:
    told = first(of_stream(Stream(), **options))
    assert told is not None and told.name == "second-empty" and "def __iter__" in told.places[0]


def test_streams_that_begin_anew_are_fine() -> None:
    """As is one whose workers each have a copy as it was made, started for each epoch."""
    assert first(of_stream(Anew())) is None and first(of_stream(Resets())) is None
    assert first(of_stream(Stream(), num_workers=1)) is None


def raising(worker: int) -> None:
    raise ValueError("no\nvolume")


def ending(worker: int) -> None:
    sys.exit(3)


def nothing(worker: int) -> None:
    pass


@pytest.mark.parametrize(
    ("init", "said"), [(raising, "ValueError: no volume"), (ending, "SystemExit: 3")]
)
def test_a_worker_that_cannot_start_is_the_verdict(init: Any, said: str) -> None:
    subject = subject_of("x", DataLoader(ROWS, 8, num_workers=1, worker_init_fn=init))
    with pytest.raises(Exception, match=INIT) as raised:
        batches(subject, 1.0)
    inside = look_inside(subject, 1.0)
    found = diagnose("x", Heard({"inside": inside}, {"batches": sentence(raised.value)}))
    assert found.verdict.startswith(
        "Workers cannot start: worker_init_fn raises (test_doctor_once.py:"
    )
    assert init.__name__ != "ending" or "sys.exit(3)" in found.findings[0].places[0]
    assert found.wrong and f"{INIT}{said} ({__file__}:" in found.findings[0].evidence


def test_also_one_of_a_stream() -> None:
    for init, fits in ((raising, False), (nothing, True)):
        subject = subject_of("x", DataLoader(Anew(), 8, num_workers=1, worker_init_fn=init))
        if fits:
            assert growth(subject, 2.0)["few"]
        else:
            with pytest.raises(Exception, match=INIT):
                growth(subject, 2.0)


class Graph(TensorDataset):
    def __init__(self, detached: bool) -> None:
        super().__init__(torch.arange(64))
        self.detached, self.weight = detached, torch.ones(3, requires_grad=True)

    def __getitem__(self, index: int) -> Any:
        made = self.weight * index
        return {"x": made.detach() if self.detached else made}


@pytest.mark.parametrize("workers", [0, 1])
def test_samples_that_workers_refuse_for_their_graph_are_told(workers: int) -> None:
    subject = subject_of("x", DataLoader(Graph(False), 8, num_workers=workers))
    seen = {"look": look(subject, 1.0), "inside": look_inside(subject, 1.0)}
    with pytest.raises(RuntimeError) as raised:
        growth(subject, 1.0)
    found = diagnose("x", Heard(seen, {"growth": sentence(raised.value)}))
    assert found.verdict.startswith("Workers cannot hand over samples that require grad")
    assert found.wrong is bool(workers) and "sample['x'] does" in found.findings[0].evidence


def test_samples_without_a_graph_are_fine() -> None:
    subject = subject_of("x", DataLoader(Graph(True), 8, num_workers=1))
    assert look(subject, 1.0)["grad"] == "" and growth(subject, 1.0)["private"]


def test_a_loader_without_workers_calls_no_such_function() -> None:
    inside = look_inside(subject_of("x", DataLoader(ROWS, 8, worker_init_fn=raising)), 1.0)
    assert not diagnose("x", Heard({"inside": inside}, {"growth": f"{INIT}it"})).wrong
