"""What could help, and trials of it side by side with the user's own way, on the user's samples.

`remedy` is what one is, `table` lists all, `trials` tries them in rounds, and `recipes` writes the
lines to add. Of a loader's settings: `remedies`, `threads`, `uneven`, `preloaded` (imports),
`crowded` (threads, cores). Of work that is kept: `stored` (samples), `kept_results`,
`once_a_sample`. Of files: `opened_once`, `unopened`, `unlocked`, `mapped`, `sliced_first`,
`rechunked` and `row_groups` by `rewriting`, `indexed`, `unwritten`. Of what a sample is made by:
`decoding`, `cropped_first`, `drawn`, `hashed`, `turned`, `columns`, `grouped`, `substitutes`. Of
what is sent: `clones`, `narrowed`, `unpadded`. Of batches: `collating`, `batched`, `on_batch`,
`as_tensors`.
"""
