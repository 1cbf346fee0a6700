"""The machine beneath: cores, memory that processes share, how a process ends."""
