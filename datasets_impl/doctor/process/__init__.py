"""Probes and trials run in a process of their own, which the user's code may hang or end.

`examine` is the doctor's side of it, `child` the other; `sandbox` clears up after both.
"""
