"""Numbers -> words, tables, figures and the page.

`study` puts a judgement in words, in the terms of `model`: the verdict of a claim says which, and
`sentences` and `grid` fill them in; of the whole in `answer` and `certainty`, of what surrounds it
in `surroundings`. Beside the claims:
`instead` and `ceilings` (what to use), `bandwidths`, `field` (others' figures), `environments`,
`repeat` (a second run), `reference` (the committed results). How a number, a level, a reason, a
log, what is remarked of a cell reads: `wording`, `level_words`, `reasons`, `log_words`, `remarks`.

The page is `page` over `templates/`, with `figures`, `waffle` (a card's small picture), `facets`
(what can be selected), `glossary` and `cite`. The data are `record` (of the kinds in `fields`, with
`further_records`) and `tables`; `written` puts all of it into a folder, `terminal` on a screen.
"""

import os

# Before matplotlib is imported, which ends at a name that it lacks, and at a file that is no UTF-8.
os.environ["MPLBACKEND"] = "agg"
os.environ["MATPLOTLIBRC"] = os.devnull  # the user's own changes no figure
