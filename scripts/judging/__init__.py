"""Results -> numbers: evidence, pairs, intervals, verdicts; no sentence for a reader."""
