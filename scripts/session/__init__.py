"""Runs asv round by round, and publishes what is whole."""
