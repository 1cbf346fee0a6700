"""Numbers -> words, tables, figures and the page.

`study` puts a judgement in words: of a claim in `sentences` and `grid`, of the whole in
`answer`, of what surrounds it in `surroundings`. How a number, a level, a reason reads: `wording`,
`level_words`, `reasons`. The page is `page` over `templates/`; the data are `record`, `tables`.
"""

import os

os.environ["MPLBACKEND"] = "agg"  # before matplotlib is imported, which ends at a name it lacks
