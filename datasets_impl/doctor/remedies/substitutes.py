"""Other libraries that do the same work faster, tried in the place of what the code calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets_impl.doctor.probes.callees import Callee
from datasets_impl.doctor.probes.standing import for_users
from datasets_impl.doctor.remedies.remedy import Context, Instead, Remedy, alike, unharmed
from datasets_impl.errors import importable

JPEG = b"\xff\xd8\xff"  # of other pictures all pixels are decoded, whatever is asked for
NOT_TURNED = "pictures that their camera marked as turned are left as they are stored"
LEAST_SHARE = 0.2  # of a sample's time, of calls that are worth replacing


@dataclass(frozen=True)
class Substitute:
    """`exact`: the samples must be the same to the last bit; else nearly, which `caution` says."""

    of: str  # full name of the function, without the module inside its package
    title: str
    lines: str
    package: str
    make: Callable[[Callable[..., Any]], Callable[..., Any]]  # from the original, which does what
    # the stand-in answers `NotImplemented` to
    mends: tuple[str, ...]
    exact: bool = True
    caution: str = ""
    files: bytes = b""  # how those begin that it is for


def _filled_polygon(_: Callable[..., Any]) -> Callable[..., Any]:
    import cv2

    def drawn(shape: Any, polygon: Any) -> Any:
        mask = np.zeros(shape, np.uint8)
        points = np.rint(np.asarray(polygon)[:, ::-1]).astype(np.int32)  # x before y
        cv2.fillPoly(mask, [points], 1)
        return mask.view(bool)

    return drawn


def _resized(_: Callable[..., Any]) -> Callable[..., Any]:
    import cv2

    def resized(image: Any, shape: Any, *given: Any, **options: Any) -> Any:
        if given or not options.get("preserve_range") or image.ndim > len(shape[:2]) + 1:
            return NotImplemented
        smaller = shape[0] <= image.shape[0] and shape[1] <= image.shape[1]
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        made = cv2.resize(np.asarray(image), (shape[1], shape[0]), interpolation=how)
        return made if made.dtype.kind == "f" else made.astype(float)

    return resized


def _shallow(_: Callable[..., Any]) -> Callable[..., Any]:
    import copy

    return lambda value, *_: copy.copy(value)


def _orjson(_: Callable[..., Any]) -> Callable[..., Any]:
    import orjson

    def parsed(source: Any, *given: Any, **options: Any) -> Any:
        if given or options:
            return NotImplemented
        return orjson.loads(source.read() if hasattr(source, "read") else source)

    return parsed


def _read_csv(_: Callable[..., Any]) -> Callable[..., Any]:
    import pandas as pd

    def parsed(source: Any, *given: Any, **options: Any) -> Any:
        separator = options.get("delimiter") or r"\s+"
        if given or set(options) - {"delimiter", "dtype"}:
            return NotImplemented
        kind = options.get("dtype", float)
        table = pd.read_csv(source, sep=separator, header=None, comment="#", dtype=kind)
        return table.to_numpy()

    return parsed


def _reduced(times: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        import cv2

        flag = getattr(cv2, f"IMREAD_REDUCED_COLOR_{times}")

        def read(path: Any, *given: Any) -> Any:
            whole = given in ((), (cv2.IMREAD_COLOR,))
            return original(path, flag) if whole else NotImplemented

        return read

    return make


def _imread(_: Callable[..., Any]) -> Callable[..., Any]:
    import cv2

    def read(path: Any, *given: Any) -> Any:
        whole = given in ((), (cv2.IMREAD_COLOR,))
        return _decoded(_bytes_of(path), "BGR") if whole else NotImplemented

    return read


def _of_torchvision(_: Callable[..., Any]) -> Callable[..., Any]:
    """Of one that is given a path, or a tensor of bytes."""
    import torch
    from torchvision.io import ImageReadMode

    whole: Any = ([], [ImageReadMode.RGB], [("mode", ImageReadMode.RGB)])

    def read(source: Any, *given: Any, **options: Any) -> Any:
        if [*given, *options.items()] not in whole:
            return NotImplemented
        data = source.numpy() if isinstance(source, torch.Tensor) else _bytes_of(source)
        made = _decoded(data, "RGB")
        return made if made is NotImplemented else torch.from_numpy(made).permute(2, 0, 1)

    return read


def _bytes_of(path: Any) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, TypeError):
        return b""


def _decoded(data: Any, channels: str) -> Any:
    """By simplejpeg, what is a JPEG picture in colour."""
    import simplejpeg

    try:
        if simplejpeg.decode_jpeg_header(data)[2] == "YCbCr":
            return simplejpeg.decode_jpeg(data, channels)
    except (TypeError, ValueError):
        pass
    return NotImplemented


SUBSTITUTES = (
    Substitute(
        "skimage.draw.polygon2mask", "Draw with OpenCV",
        "mask = np.zeros(shape, np.uint8)\n"
        "cv2.fillPoly(mask, [np.rint(polygon[:, ::-1]).astype(np.int32)], 1)",
        "cv2", _filled_polygon, ("drawing", "transforming"),
        exact=False, caution="pixels at the edge may differ",
    ),
    Substitute(
        "skimage.transform.resize", "Resize with OpenCV",
        "picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)",
        "cv2", _resized, ("resizing", "transforming"),
        exact=False, caution="pixels differ a little",
    ),
    Substitute(
        "copy.deepcopy", "Copy only the outermost level",
        "record = copy.copy(record)  # and copy what is changed inside it",
        "copy", _shallow, ("copying in depth",),
    ),
    Substitute("json.load", "Parse with orjson", "record = orjson.loads(file.read())", "orjson",
               _orjson, ("parsing JSON",)),
    Substitute("json.loads", "Parse with orjson", "record = orjson.loads(text)", "orjson", _orjson,
               ("parsing JSON",)),
    Substitute(
        "numpy.loadtxt", "Parse with pandas",
        "array = pd.read_csv(path, sep=',', header=None).to_numpy()", "pandas", _read_csv,
        ("parsing text",), exact=False, caution="the last digits may differ",
    ),
    *(
        Substitute(
            "cv2.imread", f"Decode at {'an eighth' if times == 8 else 'a quarter'} of the size",
            f"picture = cv2.imread(path, cv2.IMREAD_REDUCED_COLOR_{times})", "cv2",
            _reduced(times), ("decoded-larger", "decoding", "resizing"), exact=False,
            files=JPEG,
            caution="pixels differ a little from those of the whole picture",
        )
        for times in (8, 4)
    ),
    Substitute(
        "cv2.imread", "Decode with simplejpeg",
        'with open(path, "rb") as file:\n'
        '    picture = simplejpeg.decode_jpeg(file.read(), "BGR")',
        "simplejpeg", _imread, ("decoding",), exact=False, files=JPEG, caution=NOT_TURNED,
    ),
    *(
        Substitute(
            f"torchvision.io.{name}", "Decode with simplejpeg",
            'with open(path, "rb") as file:\n'
            '    picture = simplejpeg.decode_jpeg(file.read(), "RGB")\n'
            "picture = torch.from_numpy(picture).permute(2, 0, 1)",
            "simplejpeg", _of_torchvision, ("decoding",), exact=False, files=files,
            caution=NOT_TURNED,
        )
        for name, files in (("read_image", JPEG), ("decode_image", b""), ("decode_jpeg", b""))
    ),
)  # fmt: skip


def substitutes(at: Context) -> list[Remedy]:
    """Those that give the user's samples, of the calls that take the time."""
    found: list[Remedy] = []
    for call in at.seen["repeats"]["calls"]:
        for one in SUBSTITUTES:
            callee = at.callees.get(call["name"])
            if call["full_name"] != one.of or callee is None or call["share"] < LEAST_SHARE:
                continue
            if not importable(one.package):
                continue
            if one.files and not _begins(call["path"], one.files):
                continue
            used: set[str] = set()
            made = Instead(at.part, [(callee, for_users(callee, _instead(callee, one, used)))])
            if not (unharmed(at, made) if one.exact else _near(at, made)) or not used:
                continue
            found.append(
                Remedy(
                    f"substitute-{one.of.rpartition('.')[2]}-{len(found)}",
                    one.title,
                    one.lines,
                    made,
                    at.subject.workers,
                    caution=one.caution,
                    mends=one.mends,
                )
            )
            break
    return found


def _instead(callee: Callee, one: Substitute, used: set[str]) -> Callable[..., Any]:
    """`used` is told once it did what it is for."""
    original = callee.function
    stand_in = one.make(original)

    def called(*given: Any, **options: Any) -> Any:
        made = stand_in(*given, **options)
        if made is NotImplemented:
            return original(*given, **options)
        used.add(one.of)
        return made

    return called


def _begins(path: str, how: bytes) -> bool:
    try:
        with Path(path).open("rb") as file:
            return file.read(len(how)) == how
    except OSError:
        return False


def _near(at: Context, made: Instead) -> bool:
    from datasets_impl.doctor.probes.raised import RAISED

    try:
        return alike(at, made)
    except RAISED:
        return False
