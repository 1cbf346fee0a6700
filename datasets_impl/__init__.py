"""Datasets that load the same photographs in different ways, and the tools to compare them fairly.

`registry.IMPLEMENTATIONS` lists them. What the package needs stands in `pyproject.toml`, under
`dependencies`; an extra there is named for what it adds.
"""

__version__ = "0.4.0"
