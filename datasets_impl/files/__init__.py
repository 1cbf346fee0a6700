"""Files: where they are, which are pictures, and how they are written without loss.

`paths` says where, `pictures` which and whether they changed, `jpeg` what stands before a scan,
`packed` keeps many names small. `records` reads whole files, `atomic` writes one, `whole` a folder,
and `replacing` says over what, and what may be deleted. `look` is the look of pages.
"""
