"""The diagnosis as one self-contained page: no script, no network, readable on a phone."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from datasets_impl.doctor.model import Diagnosis
from datasets_impl.doctor.terminal import amount, beside


def page(found: Diagnosis) -> str:
    env = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals |= {"amount": amount, "beside": beside}
    return env.get_template("page.html.j2").render(one=found)
