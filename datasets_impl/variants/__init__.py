"""Variants, one idea a file.

In place of the naive decoding: `pil_to_tensor`, `decode_image`, `decoding`, `inefficient_batches`,
`draft_crops`. In memory: `preloaded_array`, `preloaded_tensor`, `preloaded_shared`. Pixels on disk:
`raw_files`, `stored_pixels`; in a store: `object_store`. Habits that cost: `reheader`, `relisting`,
`row_loop`. `whole_batches` is what those that give batches share.
"""
