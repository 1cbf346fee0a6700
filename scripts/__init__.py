"""From asv results to verdicts: evidence, inference, figures, page and tables."""
