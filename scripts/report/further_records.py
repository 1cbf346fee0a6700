"""What `claims.json` holds beside the claims: estimates at scale, and other environments."""

from __future__ import annotations

from pydantic import Field

from scripts.judging.at_scale import Limit
from scripts.report.fields import Count, Level, Number, Object


class ConstantRecord(Object):
    name: str
    us: Number = Field(description="microseconds an image")
    low: Number
    high: Number
    benchmark: str
    arm: str
    factors: dict[str, Level]


class StoreRecord(Object):
    name: str
    gives: Number = Field(description="GB/s, to all who read at once")
    takes: Number = Field(description="GB/s at the same time, of all who write")


class ConvertingRecord(Object):
    set: str
    images: Count
    store: str
    workers: Count
    hours: Number
    low: Number
    high: Number
    core_hours: Number
    read: Number = Field(description="GB/s that storage must give so that no worker waits")
    written: Number
    limit: Limit


class EpochRecord(Object):
    set: str
    images: Count
    store: str
    trainers: Count
    seconds: Number
    low: Number
    high: Number
    core_hours: Number = Field(description="of an epoch after the first: trainers, cores and time")
    read: Number = Field(description="GB/s that storage must give so that no trainer waits")
    share_gb: Number
    fits: bool = Field(description="then the first epoch alone reads from the store")
    limit: Limit
    first_seconds: Number
    first_low: Number
    first_high: Number
    first_limit: Limit


class AtScaleRecord(Object):
    """Estimates from measured constants; no time here was measured."""

    machine: str
    px: Count
    jpeg_bytes: Number
    pixel_bytes: Count
    memory_gb: Number
    cores: Count = Field(description="of a trainer, which is a machine like the one measured")
    constants: list[ConstantRecord]
    stores: list[StoreRecord]
    converting: list[ConvertingRecord]
    epochs: list[EpochRecord]


class IntervalRecord(Object):
    estimate: Number
    low: Number
    high: Number
    blocks: Count


class ChangeRecord(Object):
    benchmark: str
    unit: str
    factors: dict[str, Level]
    base: Number = Field(description="geometric mean over the rounds")
    other: Number
    ratio: IntervalRecord = Field(description="other over base, whose rounds are no pairs")
    changed: bool = Field(description="the whole interval lies beyond the margin")


class AcrossRecord(Object):
    """An environment beside its machine's reference, over cells that both measured."""

    machine: str
    environment: str
    profile: str
    commit: str
    base: str
    base_profile: str = Field(description="quick, where the claims are judged over a wider one")
    base_commit: str
    cells: Count = Field(description="of claims, decided by it and by the judged run")
    agreeing: Count
    changes: list[ChangeRecord] = Field(description="times and sizes at the centre of the star")
