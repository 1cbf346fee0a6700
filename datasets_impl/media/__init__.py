"""Where bytes live while they are measured."""
