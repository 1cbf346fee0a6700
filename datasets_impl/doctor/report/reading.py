"""What the doctor and `watch` wrote, read again: somebody may have edited it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from datasets_impl.doctor.process.printable import shown
from datasets_impl.errors import StudyError
from datasets_impl.files.records import content_of

M = TypeVar("M", bound=BaseModel)
MOST = 1e18  # of any number that is measured
SIGNED = ("unattributed_us", "hand_over_us")  # differences of two times
OF_THE_USER = ("settings",)  # which hold anything


def read_as(model: type[M], path: Path, most: int, name: str) -> M:
    """
    Args:
        most: bytes.
        name: what to name instead, for the sentence.

    Raises:
        StudyError: it cannot be read, or is not what the model says, or a number in it is none that
            can be measured; names the file and the field.
    """
    try:
        found = model.model_validate_json(content_of(path, most), strict=True)
        wrong = next(_impossible(found.model_dump()), "")
        if not wrong:
            return found
        why = f"see its field {wrong}, which can be no such number"
    except OSError as error:
        why = error.strerror or "it cannot be read"
    except ValidationError as error:
        first = error.errors()[0]
        where = shown(".".join(map(str, first["loc"])))
        said = shown(first["msg"])
        why = f"see its field {where} ({said})" if where else f"it is no such file ({said})"
    except ValueError as error:
        why = str(error)
    raise StudyError(f"{path}: {why}; name {name}.")


def _impossible(value: Any, *names: str) -> Iterator[str]:
    """The places of numbers that no clock and no count gives."""
    if isinstance(value, dict):
        for name, one in value.items():
            if name not in OF_THE_USER:
                yield from _impossible(one, *names, str(name))
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from _impossible(one, *names, str(place))
    elif isinstance(value, int | float):
        least = -MOST if names[-1] in SIGNED else 0
        if not least <= value <= MOST:  # neither is "nan"
            yield shown(".".join(names))
