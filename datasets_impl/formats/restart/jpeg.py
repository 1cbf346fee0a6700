"""JPEG images of which a part can be decoded alone: restart markers every few blocks.

A decoder that wants a box of an ordinary JPEG must read every bit before it, since the entropy code
has no places to start from. The standard has a remedy, restart intervals (ITU-T T.81, F.1.2 and
B.2.4.4): after a marker the decoder starts anew. `writing.with_restarts` puts such markers into an
existing baseline JPEG and keeps where each interval lies; `Record.region` cuts the intervals that a
box needs into a small JPEG of its own.
"""

from __future__ import annotations

import functools
import struct
from typing import Any, NamedTuple

import numpy as np

from datasets_impl.files.jpeg import segments

RST, EOI = 0xD0, 0xD9
BASELINE = (0xC0, 0xC1)
BLOCK = 8
MAGIC = b"RJ"
RECORD = struct.Struct("<2sHHHHIH")  # magic, width, height, MCU width, height, intervals, MCUs each


class Unsuitable(ValueError):
    """The image is no baseline JPEG in one scan, and is kept as it is."""


def whole_jpeg(data: Any) -> Any:
    """The JPEG in a record; data that are no record as they are."""
    return Record(data).jpeg if bytes(data[:2]) == MAGIC else data


class Region(NamedTuple):
    """A JPEG of `height` x `width` pixels, in which the box begins at (`top`, `left`)."""

    jpeg: bytearray
    height: int
    width: int
    top: int
    left: int


class Record:
    """What `with_restarts` made, or an ordinary JPEG that it refused.

    Args:
        data: the record, or the JPEG; each begins with a marker of its own.

    Raises:
        ValueError: a record that is cut short.
    """

    def __init__(self, data: Any) -> None:
        self.data = memoryview(data)
        self.has_restarts = bytes(self.data[:2]) == MAGIC
        if not self.has_restarts:
            self.jpeg = self.data
            return
        try:
            self._take_apart()
        except (struct.error, ValueError) as error:
            raise ValueError("a damaged record of restart intervals") from error

    def _take_apart(self) -> None:
        _, *found = RECORD.unpack_from(self.data)
        self.width, self.height, self.mcu_width, self.mcu_height, self.count, self.interval = found
        (length,) = struct.unpack_from("<H", self.data, RECORD.size)
        at = RECORD.size + 2
        self.starts = np.frombuffer(self.data, "<u4", self.count + 1, at)
        self.header_at = at + 4 * (self.count + 1)
        self.data_at = self.header_at + length
        self.jpeg = self.data[self.header_at :]

    def region(self, top: int, left: int, height: int, width: int) -> Region:
        """A JPEG that holds the box, and where in it the box begins.

        Around the box comes along what chroma upsampling looks at, its neighbours of one sample; so
        the box's pixels are those of the whole image.
        """
        per_row = -(-self.width // self.mcu_width) // self.interval  # intervals
        rows = -(-self.height // self.mcu_height)
        wide = self.mcu_width * self.interval
        beside, above = self.mcu_width // BLOCK, self.mcu_height // BLOCK  # pixels of one sample
        first_row = max(0, top - above) // self.mcu_height
        last_row = min(rows, -(-(top + height + above) // self.mcu_height))
        first = max(0, left - beside) // wide
        last = min(per_row, -(-(left + width + beside) // wide))
        across = min(self.width, last * wide) - first * wide
        down = min(self.height, last_row * self.mcu_height) - first_row * self.mcu_height
        jpeg = self._cut(
            self._header(down, across), range(first_row, last_row), per_row, first, last
        )
        return Region(jpeg, down, across, top - first_row * self.mcu_height, left - first * wide)

    def _cut(
        self, header: bytearray, rows: range, per_row: int, first: int, last: int
    ) -> bytearray:
        """Intervals `first` to `last` of some rows behind `header`, their markers renumbered."""
        begins = np.arange(rows.start, rows.stop) * per_row  # number of each row's first interval
        starts = self.starts.astype(np.int64)
        low, high = starts[begins + first], starts[begins + last]
        data = self.data[self.data_at :]
        jpeg = bytearray().join(
            [header, *(data[a:b] for a, b in zip(low.tolist(), high.tolist(), strict=True))]
        )
        # An interval's last two bytes are its marker; in the cut it stands as much further along as
        # its row does.
        moved = len(header) + np.cumsum(high - low) - (high - low) - low
        intervals = begins[:, None] + np.arange(first, last)
        markers = (starts[intervals + 1] + moved[:, None]).ravel() - 1
        numbers = RST + np.arange(len(markers)) % 8
        numbers[-1] = EOI
        if intervals[-1, -1] + 1 == self.count:  # the image's last interval has no marker
            jpeg += bytes((0xFF, EOI))
            markers, numbers = markers[:-1], numbers[:-1]
        np.frombuffer(jpeg, np.uint8)[markers] = numbers
        return jpeg

    def _header(self, height: int, width: int) -> bytearray:
        header = bytearray(self.data[self.header_at : self.data_at])
        at = _frame_at(bytes(header))
        struct.pack_into(">HH", header, at + 5, height, width)
        return header


@functools.lru_cache(maxsize=64)
def _frame_at(header: bytes) -> int:
    """Where the frame header begins; headers of one encoder and size are all the same."""
    at = 2
    for marker, end, segment in segments(header):
        at = end - len(segment)
        if marker in BASELINE:
            return at
    raise Unsuitable("no frame")
