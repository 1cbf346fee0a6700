"""Results -> numbers: no sentence for a reader, and nothing of the report.

In the order in which a number passes: `runs` (which of asv's files count, with what lies `beside`
them), `evidence`, the rules (`claims.toml`, by `claims` and `families`; `known` says whether the
suite measures what they name), `pairing`, `cells`, `inference`, `correction`, `judge`. Of single
claims: `break_even`, `bandwidth`. What the log says: `load`, `cache_state` (by `observed`). Beside
the claims: `noise`, `loaders` with `ladder` and `prospects`, `field`, `repeat`.
"""
