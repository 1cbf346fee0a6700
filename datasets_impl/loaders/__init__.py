"""The loader: what delivers batches where a DataLoader's own way of doing it is the limit.

A DataLoader's workers each make whole batches and send them to the trainer. `ThreadedLoader` takes
the same arguments and gives the same batches, of any dataset; it resumes, and shards. Its threads
make them in one separate process, in memory that both sides use again, or in the trainer's own.
After `pip install '<this folder>[loaders,stores]'`:

    from datasets_impl import RandomCrops, ThreadedLoader, ensure_stored

    if __name__ == "__main__":  # else Python 3.14 runs all of the file again in the process
        crops = RandomCrops(ensure_stored("photos", "jpeg", "restart"), size=224)
        for batch in ThreadedLoader(crops, 64, shuffle=True):  # uint8, images x 3 x 224 x 224
            ...  # train

Datasets of images write their samples into a batch, with targets as torchvision's `ImageFolder` has
them (`LabelledFolder`); any loader takes them:

| dataset | reads | a sample is |
|---|---|---|
| `RandomCrops` | a folder, a list, a set of JPEG bytes | a random resized crop, flipped or not |
| `CentreCrops` | the same | resized, and its centre cut out |
| `DecodedImages` | the same | the picture in its own size |
| `StoredPixels` | a set of pixels | one image of it; from a pack, whole batches are gathered |
| `ShardsAhead` | one of these over a `RemotePack` | the same, whole shards fetched in advance |

A part of a folder is what `torch.utils.data.random_split(LabelledFolder(folder), …)` gives.

Lightning and Accelerate iterate over the loader as it is. A Lightning `Trainer` takes it for
`train_dataloaders`, moves batches to the device, says the epoch to its samplers and keeps its state
in checkpoints; give an iterable dataset a length for that, or Lightning asks for a batch in
advance, which a checkpoint in mid-epoch counts as trained on. `accelerator.prepare(loader)` gives
the same loader back: move batches with `.to(accelerator.device)`, and let the number of batches be
a multiple of `gradient_accumulation_steps`. Neither shards it. Among several processes give
`num_replicas=accelerator.num_processes, rank=accelerator.process_index` and a `seed`; or, where
each process must have equally many batches, as `DistributedDataParallel` wants it, a
`torch.utils.data.DistributedSampler` as `sampler`.

`loader` is the class, and `resumable` the part of it that knows its epoch: `given` says what its
arguments mean together, `order` what comes when, and `position` where it stands (`described`,
`changes`: is it still the same dataset? `drawing`: is it the same order, from `sources` of random
numbers that are put back?). `told` hears which epoch a trainer says, and `own_indices` keeps what a
sampler would change. An `epoch` asks for `work`: how batches are read is `reading`, each in the
`making` of what is in a `layout` into its place, of other samples by `stacking`; `parts` are of a
dataset, and in an error its samples are `named`. The `places` of its `threads`, which have the
trainer's `modes`, are `here` or `separate`: a process by `starting`, which is another where what it
was `sent` has changed, and `ending`, whose side of it is `child`, told that it is the one `worker`,
with random numbers `drawn` in it. `parcel` copies a batch into its slot, of those that `slots` has
in shared and `unnamed` memory; a `wire` takes it, or `carried` errors, across. `memory` says where
tensors lie inside of a slot, and lends what the trainer's own process uses again; `pinned` copies
for a device.

Datasets of `images` decode by `decoding`, cut by `crops` and resize by `resizing`: `random_crops`,
`centre_crops`, `decoded_images`; `stored_pixels` and `shards_ahead` do not.
`datasets_impl.formats` says what a stored set is; the report shows this loader beside specialised
ones and the machine's own limit. It imports the decoders, the sources and the stored sets of this
package.
"""
