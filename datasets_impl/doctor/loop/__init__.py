"""The training loop around a loader: `watch(loader)` measures it from inside.

`watching` times steps and waits while the loop runs, an `epoch` at a time, each batch on its
`arrival`, into a `record`; `held` shows the loop what free loading would be, `gil` finds out
whether the step lets other threads run. `seen` turns times into numbers, and `told` into sentences
and JSON, which go to their `place`.
"""
