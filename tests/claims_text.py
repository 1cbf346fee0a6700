"""Claims files for tests: the usual rules, and one claim around the tests that matter."""

import re

HEAD = """
[rules]
margin = 0.05
confidence = 0.95
decided_share = 0.8
false_alarm_gate = 0.05
[post]
title = "A post"
date = "2025-01-30"
"""
RATIO = """
[claim.test.ratio]
label = "naive / preloaded"
kind = "ratio"
metric = "item"
benchmarks = ["item.ByImplementation"]
treatment = { impl = "naive" }
baseline = { impl = "preloaded" }
"""
SLOPE = (
    RATIO.replace("naive / preloaded", "slope").replace("ratio", "slope")
    + """over = "px"
bar = 0.0
"""
)
SHARE = """
[claim.test.share]
label = "read / item"
kind = "share"
metric = "item"
benchmarks = ["item.ByStage"]
treatment = { stage = "read" }
baseline = { stage = "item" }
bar = 0.5
"""
EXACT = """
[claim.test.exact]
label = "opened"
kind = "exact"
metric = "opened"
benchmarks = ["exact.FilesOpened"]
expect = "== 0"
"""
CLAIM = """
[[claim]]
id = "{id}"
title = "{title}"
section = "a section"
restated = "{title}."
method = "One over the other."
advice = "Preload."
finding = "{finding}"
headline = {headline}
"""


def claim(
    *tests: str,
    headline: str = "{ px = 256 }",
    identifier: str = "C01",
    title: str = "Preloading makes items cheaper",
    finding: str | None = None,
) -> str:
    """One claim with these `[claim.test.NAME]` tables, to stand behind `HEAD`.

    Its finding quotes the headline and the range of the first test, if none is given.
    """
    body = "".join(tests)
    if finding is None:
        finding = f"{{headline}} and {{range:{re.findall(r'[.]test[.]([a-z-]+)', body)[0]}}}"
    return CLAIM.format(id=identifier, title=title, finding=finding, headline=headline) + body
