"""The smallest correct version of each documented dataset, and a cache."""
