"""What can be seen from outside: page cache, opened files, stages of an item."""
