"""Probes and trials run in a process of their own, which the user's code may hang or end.

`examine` is the doctor's side of it, `child` the other, which runs what `table` lists and `plan`
has time for; `heard` is what is asked and answered, in words that are `printable`. `workers` says
where a loader's hang (`stacks`), `deaths` why a process ended. `sandbox` is the place for it all,
and `clearing` empties it, which the `watchman` does for a doctor that was killed.
"""
