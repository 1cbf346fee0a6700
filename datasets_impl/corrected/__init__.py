"""The smallest correct version of each documented dataset, and a cache.

| dataset | keeps | take it when |
|---|---|---|
| `JpegDataset` | paths | neither memory nor disk holds the pixels |
| `PreloadedDataset` | pixels in memory | they fit; random transforms stay random |
| `ReadOnlyMappedDataset` | pixels in one mapped file | workers share them; pictures have one size |
| `CachedDataset` | samples in shared memory | you have a dataset, of tensors of one shape |

They stand in `jpeg`, `preloaded`, `mapped` and `cached`.

The first three take all JPEG files of a folder and of the folders in it, in the order of
`datasets_impl.jpeg_files(folder)`, and give no labels: index yours in that order, or take a dataset
of `datasets_impl.loaders`, which give them. For samples of any other structure
`python -m datasets_impl.doctor` writes the class.
"""
