"""The three datasets the post documents, written anew and faithful to what they do, flaws included.

Source: "Why is my PyTorch custom dataset slow?", 2025-01-30, examples 1-3. Each docstring lists
the behaviour kept on purpose and what had to be mended to run at all. *naive* is `inefficient`,
*preloaded* is `improved`, *mapped* is `memory_mapped`.
"""

from datasets_impl.documented.improved import ImprovedDataset
from datasets_impl.documented.inefficient import InefficientDataset
from datasets_impl.documented.memory_mapped import MemoryMappedDataset

__all__ = ["ImprovedDataset", "InefficientDataset", "MemoryMappedDataset"]
