"""Why is *my* dataset slow? `python -m datasets_impl.doctor TARGET` measures a dataset.

`target` finds it, `child` runs `probes` in processes of their own (`examine` is the other side, and
`sandbox` clears up after them), `findings` draws conclusions, `trials` runs `remedies` that could
help, and `written` writes it down.
"""
