"""asv benchmarks, one topic a file. See CONTRIBUTING.md for how to add one."""
