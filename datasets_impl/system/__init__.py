"""The machine beneath: cores, memory that processes share, how a process ends.

`cores`, `threads`, `shared_memory` and the `allocator` are what there is to use; `hierarchy` is the
place among control groups, `scheduler` that of a cluster. `running` says which processes are there,
`owners` whose leftovers are whose, `termination` how one ends; `left_out` what could not be had.
"""
