"""Share of time a trainer waits for data under an emulated training step (X09)."""
