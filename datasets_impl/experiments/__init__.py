"""What is measured beside datasets, and without them.

`loops` and `cycled` around one dataset; `stages` of an item and `augment`; `steps`, `training` and
`trainers` at the other end; `records` and `structures`; `free_samples`, `uneven` ones and the
`ways` to load them; `beyond_memory`; `behaviour`, which is exact.
"""
