"""The diagnosis as one self-contained page: no script, no network, readable on a phone."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from datasets_impl.doctor.findings.finding import WORTH
from datasets_impl.doctor.report.model import Diagnosis
from datasets_impl.doctor.report.surroundings import surroundings
from datasets_impl.doctor.report.terminal import (
    LINES,
    account_of,
    beside,
    enough,
    helping,
    then,
    what,
)
from datasets_impl.doctor.report.wording import RIGHT_FIRST, UNTOLD, amount, between, times_as
from datasets_impl.files.look import LOOK

GENERATOR = '<meta name="generator" content="datasets_impl.doctor">'  # tells whose a page is


def page(found: Diagnosis) -> str:
    env = Environment(
        loader=PackageLoader("datasets_impl.doctor.report", ""),  # a zip may hold it, or a wheel
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in (account_of, amount, beside, between, enough, helping, surroundings, then,
                     times_as, what):  # fmt: skip
        env.globals[function.__name__] = function
    env.globals |= {
        "worth": WORTH,
        "most_lines": LINES,
        "generator": Markup(GENERATOR),
        "untold": UNTOLD,
        "right_first": RIGHT_FIRST,
    }
    env.globals["look"] = Markup(LOOK)
    return env.get_template("page.html.j2").render(one=found)
