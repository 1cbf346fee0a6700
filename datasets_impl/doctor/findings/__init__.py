"""What the answers of the probes tell: hazards, mechanisms, and causes of a sample's time."""
