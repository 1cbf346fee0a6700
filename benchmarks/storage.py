"""Slow storage: throttled disks and an object store, JPEG against raw pixels."""
