"""Runs asv round by round, and publishes what is whole.

`rounds` runs asv (`named_asv`) in a `child`, `state` keeps what is measured and says after a kill
whether it goes on, and `publishing` gives it out with `provenance` (the machine's name, and of the
`interpreter`) and what asv's pages need (`asv_files`, `asv_assets`). `places` says where a command
works, `measuring` what it does first and last, `orphans` what a killed one left. `revisions`
measures two commits in turn, `hosts` the same study on many machines, `alone` on each.
"""
