"""What is asked of a dataset: each probe takes the subject and the seconds it may use, and answers
with plain values.

- the subject: `target` finds it, in `importing`, as it is `handed` over, or as a `folder`; `making`
  makes it anew (not one that `writes`), `loaders` builds loaders over a `part` of it; `parts` names
  what it is made of, and `inside` looks at that; `looking` reads its first samples (`reads`,
  `reading`, `raised`, with `patience`), `samples` says what they are made of;
- where a sample's time goes: `items`, `profiling` and `profile`, `attribution` by `causes` and
  `statements`; `own_code`, `own_lines`, `source_lines`, `tracing` and `steps` say under which of
  the user's lines;
- calls that are seen by `standing` in for them (`callees`, `calls`): `pictures`, `repeats`,
  `searching`, `whole`, `scattered`, `queries`, `generators`, `in_turn` (locks); `chunks`,
  `parquet` and `archives` in files;
- whether samples are right: `finite`, `integrity` (with errors that are `swallowed`, `stores` that
  are `frozen`, data that is `rewritten`, masks that move `apart`), `randomness`, `rereading`,
  `seeding`, `epochs`, `worker_seeds`, `splitting`; `narrower` and `padding`, whether fewer bytes
  would hold them;
- what workers cost: `batches`, `orders` (samplers), `preparing`, `starting`, `growth`, `pickling`,
  `set_threads`, `idle`;
- what there is: `machine`, `data_files`, `ceiling`, `room`, `clock`, and `thresholds` that findings
  know, too.
"""
