"""Example 1 with `__getitems__`: a whole batch decoded into the memory it is handed over in (C02).

A batch is what collating samples of example 1 gives: a 1-tuple of a uint8 tensor, image x height x
width x channel, 0-255. Construction lists the folder; memory holds the path strings.
"""

from __future__ import annotations

import torch

from datasets_impl.documented import InefficientDataset
from datasets_impl.files.pictures import decoded, require_shape
from datasets_impl.variants.whole_batches import empty_batch


class InefficientBatchesDataset(InefficientDataset):
    """The loader asks `__getitems__` for a batch; use it with `as_it_comes` as `collate_fn`.

    What collating saves here is one copy of every image: each is decoded, then written once, to
    its place in the batch, in a worker into memory that the trainer shares.
    """

    def __getitems__(self, indices: list[int]) -> tuple[torch.Tensor]:
        """The batch of `indices`.

        Raises:
            BadImage: one cannot be read, or differs in shape from the first; broadcasting would
                stretch some.
        """
        batch = torch.empty(0, dtype=torch.uint8, device="cpu")
        for position, index in enumerate(indices):
            pixels = decoded(self.image_paths[index])
            if not position:
                batch = empty_batch((len(indices), *pixels.shape))
                rows = batch.numpy()
            first = self.image_paths[indices[0]]
            require_shape(self.image_paths[index], pixels.shape, first, rows.shape[1:])
            rows[position] = pixels
        return (batch,)
