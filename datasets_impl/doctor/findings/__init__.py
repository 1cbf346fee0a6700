"""What the answers of the probes tell: hazards, mechanisms, and causes of a sample's time.

`findings` has all of them in order, and `finding` says what one is. Harm: `empty`, `hazards`,
`integrity`, `stuck`. Time: `mechanisms`, `memory`, `again` (files read whole, large chunks),
`repeated` (work done again), `searching`, `sizes`, `starting`, `machine`, `crowded`, `handing`
(batches that are pickled). A sample's time: `time_account` adds it
up, `time_causes` makes a finding of it and says what to do; it asks `user_lines` for the line.
"""
