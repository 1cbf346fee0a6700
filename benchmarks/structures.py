"""Access to lists, arrays and tensors (C10)."""
