"""What a function's time is spent on: rules from its name, the first that fits.

Names are those of the profiler: `<method 'read' of '_io.BufferedReader' objects>` for functions
written in C, `path/of/module.py:function` (from the package on) for those written in Python. What
fits no rule takes after whoever called it.
"""

from __future__ import annotations

import re
from functools import lru_cache

Cause = str
BASIC: tuple[Cause, ...] = (
    "reading", "opening", "listing", "decoding", "resizing", "converting", "transforming",
    "python", "waiting", "collating",
)  # fmt: skip
ARROW = "making Python objects of Arrow data"
# Kinds of work that the user's own code asks of a library. A row is a kind and how its functions
# are called; whatever these do with arrays belongs to it.
_KINDS: tuple[tuple[Cause, str], ...] = (
    ("asking another process", r"multiprocessing/(managers|connection|queues)\.py:"),
    (
        "running another program",
        r"(^|/)subprocess\.py:|_posixsubprocess|built-in method posix\.(system|posix_spawn)",
    ),
    (
        "starting threads",
        r"(^|/)threading\.py:start$|built-in method _thread\.start"
        r"|concurrent/futures/thread\.py:__init__$"
        r"|multiprocessing/pool\.py:(__init__|_repopulate_pool\w*)$",
    ),
    (
        "connecting",
        r"'(connect|do_handshake)' of '_(socket|ssl)"
        r"|(^|/)socket\.py:(create_connection|getaddrinfo)|_socket\.getaddrinfo",
    ),
    (ARROW, r"(^|/)datasets/formatting/formatting\.py:(extract_\w+|_unnest)"),
    ("parsing JSON", r"(^|/)json/|_json\.|orjson|ujson|simplejson|rapidjson|pandas/io/json/"),
    ("parsing CSV", r"(^|/)_?csv\.|<_csv|pandas/io/parsers/|pandas\._libs\.parsers"),
    ("parsing XML", r"(^|/)(xml|lxml|xmltodict|bs4)[./]|pyexpat|lxml\.|ElementTree"),
    ("parsing YAML", r"(^|/)(yaml|ruamel|tomllib|tomli)[./]|_yaml"),
    (
        "parsing text",
        r"npyio\w*\.py:(loadtxt|genfromtxt|fromregex|_read|_preprocess_comments)|_load_from_file"
        r"|_iotools\.py:|numpy\.fromstring|_?strptime\.py:|(^|/)dateutil/",
    ),
    ("parsing protocol buffers", r"google/protobuf/|google\._upb|'(Parse|Merge)FromString' of"),
    ("copying in depth", r"(^|/)copy\.py:(_?deepcopy|_reconstruct|_keep_alive)|:__deepcopy__$"),
    ("growing arrays", r"numpy/lib/_?function_base\w*\.py:(append|insert)$"),
    ("pandas look-ups", r"(^|/)pandas/core/|pandas\._libs(?!\.parsers)"),
    (
        "drawing",
        r"PIL/ImageDraw\.py:|of 'ImagingDraw'|skimage[/.]draw|pnpoly|points_in_poly|matplotlib/"
        r"|^<(fillPoly|fillConvexPoly|polylines|drawContours|line|rectangle|circle|ellipse|putText)>$"
        r"|pycocotools|rasterio/features",
    ),
    (
        "encoding pictures",
        r"PIL/(Image|ImageFile|\w+ImagePlugin)\.py:(save\b|_save|_encode|_write)|imwrite|imsave"
        r"|imencode|encode_(jpeg|png)",
    ),
    (
        "decoding video",
        r"' of 'cv2\.VideoCapture|(^|/)(decord|torchcodec|av)/|torchvision/io/\w*video",
    ),
    ("signal processing", r"(^|/)scipy/(signal|fft)|pocketfft|librosa/|torchaudio/|(^|/)resampy/"),
    ("collecting garbage", r"built-in method gc\.collect|_cuda_(emptyCache|synchronize)"),
    ("decoding base64", r"(^|/)base64\.py:|built-in method binascii\.(a2b|b2a)_"),
    ("hashing", r"_hashlib|\b_(md5|sha\d|sha2|blake2)\b|xxhash"),
    ("pickling", r"'dump' of '_?pickle|_pickle\.dumps?\b|(^|/)pickle\.py:(_?dumps?|save)"),
    ("compressing", r"'compress' of|'flush' of 'zlib|\.compress>|:_?compress\w*$"),
    (
        "decompressing",
        r"zlib|gzip|(^|/)(bz2|lzma)\.py|_bz2|_lzma|lz4|blosc|zstd|numcodecs|snappy|brotli",
    ),
    ("unpickling", r"_pickle|(^|/)(pickle\.py|joblib/|dill/|cloudpickle/)"),
)
# What is done with texts and arrays, whoever asks: part of the work that asks for it, where that is
# of a kind of its own.
_HELPS: tuple[tuple[Cause, str], ...] = (
    (
        "drawing random numbers",
        r"of 'numpy\.random\.|^random\.py:|of '_random\.Random'"
        r"|built-in method torch\.(rand|normal|multinomial|bernoulli)"
        r"|'(normal|uniform|random|bernoulli|exponential)_' of 'torch",
    ),
    (
        "writing",
        r"posix\.(fsync|fdatasync|write)\b|(^|/)logging/|built-in method builtins\.print"
        r"|'(write|writelines|flush)' of '_io\.(TextIOWrapper|Buffered|FileIO)"
        r"|'commit' of 'sqlite3",
    ),
    ("sorting", r"built-in method builtins\.sorted|'sort' of 'list'"),
    ("regular expressions", r"(^|/)(re|sre_\w+|regex)(\.py|/)|' of '(re|_regex|regex)\."),
    (
        "converting",
        r"built-in method numpy\.(\w*array|from(buffer|iter)|copyto|concatenate|empty|zeros)\b",
    ),
    ("converting", r"PIL/Image\.py:"),
    ("converting", r"'(astype|copy|tobytes|transpose)' of 'numpy"),
    ("converting", r"built-in method torch\.(from_numpy|tensor|as_tensor|frombuffer)"),
    ("converting", r"'(permute|contiguous|to|float|double|half|type|clone|numpy)' of 'torch"),
    ("transforming", r"scipy/ndimage/_|skimage/_"),  # filters that a resize asks for belong to it
    ("transforming", r"' of 'torch\._C|built-in method torch\._?[CFV_a-z]"),
)
KINDS: tuple[Cause, ...] = (
    *(kind for kind, _ in _KINDS), "regular expressions", "drawing random numbers", "writing",
    "sorting",
)  # fmt: skip
HOLDING = (*KINDS, "reading", "resizing")
OWNING = (
    "running another program",
    "starting threads",
)  # what waits or reads below it does so for it
LENT = ("waiting", "reading", "opening")
# What is read and unpacked, of which a sample may be a small part.
FETCHING: tuple[Cause, ...] = (
    "reading", "opening", "decompressing", "unpickling",
    *(kind for kind in KINDS if kind.startswith("parsing")),
)  # fmt: skip

_RULES: tuple[tuple[Cause, str], ...] = (
    ("writing", r"npyio\w*\.py:_?save|lib/_?format\w*\.py:_?write|torch/serialization\.py:_?save"),
    ("reading", r"torch/(serialization|_weights_only_unpickler)\.py:|PyTorchFileReader"),
    *_KINDS,
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
        r"'(read|readinto|readline|readlines|read1|seek)' of '_io|h5py/|lmdb|zarr/|sqlite3",
    ),
    ("reading", r"numpy/lib/.*(npyio|format).*:|built-in method numpy\.fromfile|safetensors"),
    ("reading", r"pandas/io/|built-in method mmap|(^|/)(zipfile|tarfile|wave)(/|\.py)"),
    ("reading", r"scipy/io/| of 'pyarrow\.lib\.\w*(Reader|File)'"),
    ("reading", r"pyarrow(/|\._)(parquet|dataset|feather|ipc|fs|csv|orc)"),
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
        r"(turbojpeg|pyvips|imageio|decord|\bav/|torchcodec|soundfile)",
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
        r"torchvision/transforms/|albumentations|kornia|imgaug|scipy/ndimage(?!/_)|skimage/(?!_)",
    ),
    (
        "transforming",
        r"PIL/Image(Filter|Enhance|Ops|Chops)\.py:|'(filter|point|gaussian_blur)' of 'Imaging",
    ),
    # converting between kinds of array
    (
        "converting",
        r"pil_to_tensor|to_tensor|'(tobytes|convert)' of 'Imaging",
    ),
    # collating
    ("collating", r"torch/utils/data/_utils/collate\.py:|built-in method torch\.stack"),
)
RULES = tuple((cause, re.compile(pattern)) for cause, pattern in _RULES)
HELPS = tuple((cause, re.compile(pattern)) for cause, pattern in _HELPS)


@lru_cache(maxsize=16384)
def cause_of(name: str, asked_by: Cause = "python") -> Cause | None:
    """The cause that a function's name tells, or None; `asked_by` is the cause of its caller."""
    for cause, pattern in RULES:
        if pattern.search(name):
            return asked_by if asked_by in OWNING and cause in LENT else cause
    for cause, pattern in HELPS:
        if pattern.search(name):
            return asked_by if asked_by in HOLDING else cause
    return None
