"""Loaders: what delivers batches where a DataLoader's own way of doing it is the limit.

A DataLoader's workers each make whole batches and send them to the trainer. `ThreadedLoader` takes
the same arguments and gives the same batches, of any dataset. Its threads make them in one separate
process, in memory that both sides use again, or in the trainer's own. The others below are short
cuts for one purpose. Each gives one epoch each time it is iterated, shuffled anew.
After `pip install '<this folder>[loaders,stores]'`:

    from datasets_impl import GatheredPixelsLoader, ThreadedCropsLoader, ensure_stored

    crops = ThreadedCropsLoader(ensure_stored("photos", "jpeg", "restart"), size=224)
    rows = GatheredPixelsLoader(ensure_stored("photos", "pixels", "pack"))
    for batch in crops:  # uint8, images x 3 x 224 x 224
        ...  # train; `rows` gives images x height x width x 3

Datasets of images write their samples into a batch, with targets as torchvision's `ImageFolder` has
them (`LabelledFolder`); any loader takes them:

| dataset | reads | a sample is |
|---|---|---|
| `RandomCrops` | a folder, a list, a set of JPEG bytes | a random resized crop, flipped or not |
| `CentreCrops` | the same | resized, and its centre cut out |
| `DecodedImages` | the same | the picture in its own size |
| `StoredPixels` | a set of pixels | one image of it |

A part of a folder is what `torch.utils.data.random_split(LabelledFolder(folder), …)` gives.

| loader | reads | does |
|---|---|---|
| `ThreadedLoader` | any dataset | what `DataLoader` does, by threads; resumes, and shards |
| `ThreadedJpegLoader` | a folder, or a stored set of JPEG bytes | decodes |
| `ThreadedCropsLoader` | the same | decodes, and takes random resized crops and flips |
| `GatheredPixelsLoader` | a pack of pixels | gathers rows of a mapped file |

Of `ThreadedLoader`, `memory` lends what the trainer's own process uses again, and `slots` what it
shares with the separate one; `recycled` is the memory of the three short cuts.

`datasets_impl.formats` says what a stored set is; the report shows these loaders beside specialised
ones and the machine's own limit. The loaders import the decoders, the sources and the stored sets
of this package. Two modules need so little that they can be copied into other code: `recycled.py`
with `arguments.py` and `errors.py`, and `ahead.py` with the same two and `threads.py`.
"""
