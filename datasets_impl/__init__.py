"""Datasets that load the same photographs in different ways, and the tools to compare them fairly.

`registry.IMPLEMENTATIONS` lists them. The package needs torch, torchvision, NumPy and Pillow; it
imports neither asv nor pandas, so a class copied from here runs in any project.
"""

__version__ = "0.4.0"
