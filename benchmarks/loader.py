"""What the loader's own mechanisms give: hand-written loop, defaults, tuned (C02)."""
