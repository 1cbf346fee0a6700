"""Results -> numbers: no sentence for a reader, and nothing of the report.

In the order in which a number passes:

- files: `kept` (where they lie), `suites` (what asv says of benchmarks), `runs` (loads asv's;
  which count), `profiles` (which may stand together), `environments` (with what they were made),
  `beside` (what lies beside each) with its `fields`, `declared` (today's versions of benchmarks);
- rows: `evidence`, with what the log says of each in `observed` (load, cold states, further
  numbers); `measurements` (all of them, as a table);
- the rules: `claims.toml`, by `claims` and `families`;
- a claim's cells: `pairing`, `cells`, `inference` of an `interval` (also the rule from cells to a
  verdict, *inconclusive* included), `correction`; `break_even` and `bandwidth` for single claims;
- verdicts: `judge` gives a `judgement`, in terms of `model`; `headline` (which cell stands for a
  claim), `grid` (where it holds), `lacking` (what would decide it, by `targets` of `make`).

Beside the claims: `noise`; `arms`, `loaders` with `ladder` and `prospects`, `remote`, `at_scale`;
`field` (others' figures). Of several runs: `repeat`, `revisions`, `across`
(`environment_changes`). Before all: `validity` (may a run stand at all), `readable` (text that
every page can show).
"""
