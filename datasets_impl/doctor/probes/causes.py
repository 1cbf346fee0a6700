"""What a function's time is spent on: rules from its name, the first that fits.

Names are those of the profiler: `<method 'read' of '_io.BufferedReader' objects>` for functions
written in C, `path/of/module.py:function` (from the package on) for those written in Python. What
fits no rule takes after whoever called it.
"""

from __future__ import annotations

import re
from typing import Literal

Cause = Literal[
    "reading",
    "listing",
    "opening",
    "decoding",
    "resizing",
    "converting",
    "transforming",
    "waiting",
    "collating",
    "python",
]

_RULES: tuple[tuple[Cause, str], ...] = (
    # waiting: nothing is done meanwhile
    ("waiting", r"built-in method time\.sleep|'(acquire|wait|recv|recv_into|poll|select)' of"),
    ("waiting", r"built-in method (_thread\.lock|select\.)|(requests|urllib3|http|socket|ssl)[./]"),
    # listing folders
    (
        "listing",
        r"built-in method posix\.(listdir|scandir|walk)|(^|/)glob\.py:|os\.py:walk|'iterdir'",
    ),
    ("listing", r"pathlib\.py:(glob|rglob|iterdir|_iterate|_select)|built-in method posix\.stat\b"),
    # opening what is slow to open
    ("opening", r"h5py/_hl/files\.py:|built-in method (lmdb|_sqlite3)\.|zarr/.*open"),
    ("opening", r"built-in method (_io\.open|io\.open|posix\.open)"),
    # reading
    (
        "reading",
        r"'(read|readinto|readline|readlines|read1|seek)' of '_io|h5py/|lmdb|zarr/|pyarrow|sqlite3",
    ),
    ("reading", r"numpy/lib/.*(npyio|format).*:|built-in method numpy\.fromfile|safetensors"),
    ("reading", r"torch/serialization\.py:|_pickle|pandas/io/|built-in method mmap|csv\."),
    # decoding
    (
        "decoding",
        r"'(decode|pulls_fd|setfd)' of 'ImagingDecoder'|PIL/(ImageFile|.*ImagePlugin)\.py:",
    ),
    (
        "decoding",
        r"decode_(jpeg|png|webp|gif|image)|imdecode|imread|torchvision/io/|simplejpeg|PIL/Image\.py:(open|draft)",
    ),
    (
        "decoding",
        r"(turbojpeg|pyvips|imageio|decord|\bav/|torchcodec|soundfile|zlib|gzip|lz4|blosc)",
    ),
    # resizing
    (
        "resizing",
        r"'(resize|reduce|transform2)' of 'ImagingCore'|upsample|interpolate|(^|[.:/])resize",
    ),
    (
        "resizing",
        r"affine_grid|grid_sampl|PIL/Image\.py:(resize|thumbnail|reduce)|cv2\.(resize|warp)",
    ),
    ("resizing", r"^<(resize|warp\w*|remap|pyr\w+)>$"),  # OpenCV's functions have names alone
    # transforming
    ("transforming", r"^<(?!cvtColor)\w+>$|PIL/Image\.py:(rotate|effect_)|'transform' of 'Imaging"),
    (
        "transforming",
        r"torchvision/transforms/|albumentations|kornia|imgaug|scipy/ndimage|skimage/",
    ),
    (
        "transforming",
        r"PIL/Image(Filter|Enhance|Ops|Chops)\.py:|'(filter|point|gaussian_blur)' of 'Imaging",
    ),
    # converting between kinds of array
    (
        "converting",
        r"pil_to_tensor|to_tensor|'(tobytes|convert|encode)' of 'Imaging|PIL/Image\.py:",
    ),
    ("converting", r"built-in method numpy\.|'(astype|copy|tobytes|transpose)' of 'numpy"),
    ("converting", r"built-in method torch\.(from_numpy|tensor|as_tensor|frombuffer)"),
    ("converting", r"'(permute|contiguous|to|float|double|half|type|clone|numpy)' of 'torch"),
    # collating
    ("collating", r"torch/utils/data/_utils/collate\.py:|built-in method torch\.stack"),
    # what else is computed on arrays
    ("transforming", r"' of 'torch\._C|built-in method torch\._?[CFV_a-z]"),
)
RULES = tuple((cause, re.compile(pattern)) for cause, pattern in _RULES)


def cause_of(name: str) -> Cause | None:
    """The cause that a function's name tells, or None."""
    for cause, pattern in RULES:
        if pattern.search(name):
            return cause
    return None
