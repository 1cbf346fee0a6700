"""Which target of `make` measures what: the one table that every command is taken from."""

from __future__ import annotations

from collections.abc import Iterable

from datasets_impl.factors import APART, PEERS

OF_PEERS = ("loaders", "remote")  # the profiles that `make peers` measures
TARGETS = ("study", "standard", "full", *APART, "peers")


def target(profile: str) -> str:
    """What measures all of a profile, and adds rounds to a run of it."""
    return profile if profile in TARGETS else "study"


def apart(benchmark: str) -> str | None:
    """The profile that measures it apart from the standard one, None where no such one does."""
    topic, _, rest = benchmark.partition(".")
    names = {topic, f"{topic}.{rest.partition('.')[0]}"}
    return next((profile for profile, has in APART.items() if not names.isdisjoint(has)), None)


def measuring(benchmark: str, arms: Iterable[str] = (), profile: str = "standard") -> str:
    """What measures `arms` of a benchmark; `profile` is that of the run which did, if one did.

    `benchmark` is its name, with or without what it tracks.
    """
    found = target((profile == "standard" and apart(benchmark)) or profile)
    rivals = any(arm.partition("-")[0] in PEERS for arm in arms)
    return "peers" if rivals and found in OF_PEERS else found
