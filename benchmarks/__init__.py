"""asv benchmarks, one topic a file; CONTRIBUTING.md says how to add one.

Topics: `item`, `epoch`, `loader`, `startup`, `storage`, `structures`, `transport`, `memory`,
`stall`, `exact`; `arms`, `remote`, `trainers` and `uneven` of loaders; `controls`, the same under
two names. `grids` holds the levels, `common` the base, `measures` how numbers are made. Commands:
`prepare` the corpora, `plan` and `touched` say what there is to measure.

How a number is made
--------------------
Arms that are compared run one after the other, each in a fresh process. A round of all arms is a
block, and the block is the unit of repetition; how blocks become a verdict stands on the report's
page, under "How a claim becomes a verdict".

A cold file is proven absent from the page cache before it is read (`mincore`), and read from the
device after (`/proc/<pid>/io`). A throttled disk is proven no faster than its limit and one slice
of it, a tenth of a second. What cannot be proven is void. Memory is summed over all processes,
shared pages counted once (`/proc/<pid>/smaps_rollup`), minus the same loader over a tiny dataset.

Limits of the evidence
----------------------
- The disks of the reference machines are virtual: the host may cache what the guest evicted.
- The default corpus is crops of eight bundled photographs. Their bytes per pixel are near those of
  ImageNet-1k; their content is not. `make study IMAGES=folder` measures your own pictures: crops at
  native scale, each encoded with the quantization tables of its picture.
- Epoch times are the steady state with persistent workers. Starting the workers is reported apart,
  as time to the first batch. All arms run with one intra-op thread.
- The allocator keeps freed memory (`datasets_impl/system/allocator.py`), because glibc otherwise
  falls by chance into one of two regimes for batches of this size. Where memory is measured, it is
  left alone.
- Nothing runs on a GPU. Where a training step is timed (X09) it waits, as for a GPU, and leaves the
  cores alone; beside X10 and X11 it also holds the GIL, launches operations or computes.
- The object store is on loopback with added latency, and shares the cores with its reader.
- The throttle limits bandwidth, over slices of a tenth of a second; it does not limit the number of
  requests. A real hard disk is slower on small files than its bandwidth says. What the throttle
  grants in advance is read away before the clock starts. The committed Intel run was made before
  that was done, so its throttled cells are not used.
- Break-even intervals are bootstrapped over few blocks and somewhat narrow. The decision is made
  from the total times instead, by the t-test.
"""
