"""Why is *my* dataset slow? `python -m datasets_impl.doctor TARGET` measures a dataset.

`target` finds it, `child` runs `probes` in processes of their own, `findings` draws conclusions,
`remedies` tries what could help, and `report` writes it down.
"""
