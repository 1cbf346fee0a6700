"""The four tasks: what an arm is, every arm in one table (`registry`), and the ceilings."""
