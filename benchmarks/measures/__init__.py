"""How each number is made; the benchmarks beside this folder say which.

Times: `epochs` (which also proves that pages were cold or warm, by `observe.page_cache`), `loops`,
`samples`, `shares` of an item, `training`; `throttled` and `objects` for slow storage. Of loaders:
`arms`, `scale`, `costs`, `remote`, `beside` a trainer, `uneven` samples, `targets`. Memory: `tree`.
"""
