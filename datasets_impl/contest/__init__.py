"""The four tasks: what an arm is (`model`), all of them (`registry`), and the `ceilings`.

Arms are `plain` PyTorch, this project's `own`, the `peers`, and those of the task `remote`;
`tuning` finds an arm's best setting, `fidelity` how near its pixels are, `code` what its user
writes. `beside` is loading beside a trainer.
"""
