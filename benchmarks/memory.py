"""Memory of the process tree: records, start methods, data larger than a limit."""
