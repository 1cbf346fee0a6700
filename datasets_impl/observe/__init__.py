"""What can be seen from outside: page cache, opened files, stages of an item.

`page_cache` evicts files and proves that they were cold; that pages stayed warm, the benchmarks'
`measures.epochs` proves with it.
"""
