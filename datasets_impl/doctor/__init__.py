"""Why is *my* dataset slow? `python -m datasets_impl.doctor TARGET` measures a dataset.

It says where a sample's time goes (reading, decoding, transforming, your own lines, waiting,
collating) and which hazards it saw (frozen augmentation, workers that draw the same numbers, memory
that grows). It runs each remedy side by side with your own way, on your samples, in rounds, and
recommends one only if its whole 95 % interval is above 1.1 times as fast.

`--kwargs '{"root": "/data", "size": 224}'` passes arguments to a class or function, `--budget` sets
the seconds, `--out DIR` writes a page and JSON with a schema, `--svg FILE` draws the picture. A
relative TARGET is looked up from where you are, with `make` from the project's folder. The picture
in the README is drawn by the command in `results/doctor/train.py`.

`watch(loader)` times a training loop from inside, and `--beside watch.json` takes the step from it.
`--compare BEFORE AFTER` says what changed between two diagnoses, and `--fail-if waits>10%` lets a
command fail.

Data flows one way: `probes` look at the dataset, in a `process` of their own; `findings` draw
conclusions; `remedies` that could help are tried beside the user's way; `report` writes it down.
`loop` is what `watch` needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets_impl.doctor.loop.watching import watch as watch

__all__ = ["watch"]


def __getattr__(name: str) -> Any:
    if name != "watch":  # loaded when it is asked for: the doctor's children import this package
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from datasets_impl.errors import importing

    with importing("watch", "", "doctor"):
        from datasets_impl.doctor.loop.watching import watch
    return watch
