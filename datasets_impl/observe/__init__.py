"""What can be seen from outside, and the log of it.

`page_cache` evicts files and proves that they were cold; that pages stayed warm, the benchmarks'
`measures.epochs` proves with it. `files_opened` counts files, `load` is what other programs do,
`memory` what a tree of processes holds (after `unshare`, and once its workers `rest`), `handover`
what a worker is sent. `log` writes what was seen beside a result.
"""
