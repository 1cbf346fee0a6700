"""The kinds of field that the records of `claims.json` have: plain values, checked.

Floats are rounded to four significant digits, and a number that is not finite becomes null: NaN is
not JSON.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from scripts.judging.pairing import level


def clean(value: Any) -> Any:
    """A JSON value: numpy scalars unwrapped, floats to four significant digits, NaN to None."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


Count = Annotated[int, Field(ge=0)]
Number = Annotated[float | None, BeforeValidator(clean)]
Probability = Annotated[Annotated[float, Field(ge=0, le=1)] | None, BeforeValidator(clean)]
Share = Annotated[Annotated[float, Field(ge=0)] | None, BeforeValidator(clean)]
Texts = dict[str, str]
Scalar = str | int | float | bool | None
Level = Annotated[Scalar, BeforeValidator(lambda value: clean(level(value)))]
Named = Annotated[str, Field(min_length=1)]
Quantity = Literal["ratio", "share", "slope", "amount", "value"]


class Object(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, from_attributes=True
    )
