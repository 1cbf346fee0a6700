"""Claims files for tests: the usual rules, and one claim around the tests that matter."""

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
CLAIM = """
[[claim]]
id = "{id}"
title = "{title}"
section = "a section"
origin = "post"
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
    finding: str = "{headline} and {range[0]}",
) -> str:
    """One claim with these `[[claim.test]]` tables, to stand behind `HEAD`."""
    return CLAIM.format(id=identifier, title=title, finding=finding, headline=headline) + "".join(
        tests
    )
