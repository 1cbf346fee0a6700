"""Variants, one idea a file; each class can be copied into a project of its own."""
