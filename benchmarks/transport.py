"""What it costs to hand a sample from a worker to the trainer (X03)."""
