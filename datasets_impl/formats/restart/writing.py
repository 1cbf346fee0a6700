"""Restart markers are written into a baseline JPEG, whose coefficients stay as they are.

Every decoder still gives the same pixels: only the first DC difference of each interval is written
anew. Needs the package `numba`; cutting regions does not.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from datasets_impl.errors import importing
from datasets_impl.files.jpeg import (
    AS_STORED,
    SOS,
    NoJpeg,
    orientation,
    orientation_segment,
    segments,
)
from datasets_impl.formats.restart.jpeg import BASELINE, BLOCK, MAGIC, RECORD, Unsuitable

DHT, DRI, DQT, DNL = 0xC4, 0xDD, 0xDB, 0xDC
OTHER_FRAMES = {*range(0xC2, 0xD0)} - {DHT, 0xC8, 0xCC}
APP0, APP14 = 0xE0, 0xEE  # what decoders need of the application's own segments
COMPONENTS = (1, 3, 4)
LONGEST_HEADER = 2**16 - 1
MOST_MCUS_PER_BYTE = 4  # a block takes a bit for its DC and one for its AC coefficients at least
# Counts of codes by length, and the values, for DC categories 0 to 11 (T.81, tables K.3 and K.4).
DC_COUNTS = (
    (0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0),
    (0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0),
)


@dataclass(frozen=True)
class _Component:
    name: int
    across: int
    down: int
    dc: int
    ac: int


@dataclass
class _Parsed:
    """A JPEG taken apart: what is kept of its header, its tables, and where its scan begins."""

    head: list[bytes]  # segments before the frame header: tables, APP0, APP14, the orientation
    frame: bytes
    components: list[_Component]
    ac_tables: dict[int, tuple[bytes, bytes]]
    dc_tables: dict[int, tuple[bytes, bytes]]
    restart_interval: int
    scan: bytes  # the scan header
    data_at: int
    width: int
    height: int

    @property
    def mcu(self) -> tuple[int, int]:
        """Width and height of an MCU in pixels."""
        if len(self.components) == 1:
            return BLOCK, BLOCK  # a single component is never interleaved
        across = max(one.across for one in self.components)
        return BLOCK * across, BLOCK * max(one.down for one in self.components)

    @property
    def mcus(self) -> tuple[int, int]:
        width, height = self.mcu
        return -(-self.width // width), -(-self.height // height)


def _parse(data: bytes) -> _Parsed:
    try:
        return _taken_apart(data)
    except NoJpeg as error:
        raise Unsuitable(str(error)) from error
    except (IndexError, struct.error) as error:  # a segment shorter than it has to be
        raise Unsuitable("damaged header") from error


def _taken_apart(data: bytes) -> _Parsed:
    head, frame, scan, interval, end = [], b"", b"", 0, 0
    tables: dict[int, dict[int, tuple[bytes, bytes]]] = {0: {}, 1: {}}
    for marker, behind, segment in segments(data):
        if marker in BASELINE:
            frame = segment
        elif marker in OTHER_FRAMES or marker == DNL:
            raise Unsuitable("not baseline")
        elif marker == DHT:
            _read_tables(segment[4:], tables)
        elif marker == DRI:
            interval = int.from_bytes(segment[4:6], "big")
        elif marker in (DQT, APP0, APP14):
            head.append(segment)
        elif marker == SOS:
            scan, end = segment, behind
    if not frame or frame[4] != 8:
        raise Unsuitable("not 8 bits deep")
    height, width, count = struct.unpack(">HHB", frame[5:10])
    if not (height and width) or scan[4] != count or len(frame) != 10 + 3 * count:
        raise Unsuitable("several scans")
    if count not in COMPONENTS:
        raise Unsuitable(f"{count} components")
    turned = orientation(data)
    if turned != AS_STORED:
        head.append(orientation_segment(turned))
    sampling = {frame[10 + 3 * i]: frame[11 + 3 * i] for i in range(count)}
    components = []
    for i in range(count):
        name, chosen = scan[5 + 2 * i], scan[6 + 2 * i]
        if name not in sampling:
            raise Unsuitable("damaged scan header")
        factors = sampling[name]
        if not (1 <= factors >> 4 <= 4 and 1 <= factors & 15 <= 4):
            raise Unsuitable("damaged frame header")
        components.append(_Component(name, factors >> 4, factors & 15, chosen >> 4, chosen & 15))
    return _Parsed(
        head, frame, components, tables[1], tables[0], interval, scan, end, width, height
    )


def _read_tables(body: bytes, tables: dict[int, dict[int, tuple[bytes, bytes]]]) -> None:
    while body:
        kind, name, counts = body[0] >> 4, body[0] & 15, body[1:17]
        values = body[17 : 17 + sum(counts)]
        if kind > 1 or len(counts) != 16 or len(values) != sum(counts):
            raise Unsuitable("damaged tables")
        tables[kind][name] = (counts, values)
        body = body[17 + len(values) :]


def with_restarts(data: bytes, spacing: int = 64) -> bytes:
    """The record of `data`: a table of its intervals, then a JPEG with restart markers.

    Intervals are the shortest that divide a row of MCUs into equal parts of at least `spacing`
    pixels; a row of which no such part can be made is one. See `Record` for reading it.

    Raises:
        Unsuitable: the image is not a baseline JPEG in a single scan, or it is damaged.
        MissingPackage: numba is not installed, or cannot be imported.
    """
    with importing("The format 'restart'", "numba", "stores"):
        from datasets_impl.formats.restart.transcode import transcode

    parsed = _parse(data)
    across, down = parsed.mcus
    if across * down > MOST_MCUS_PER_BYTE * len(data):
        raise Unsuitable("fewer bytes than the image's size needs")
    parts = [step for step in range(1, across + 1) if across % step == 0]
    interval = next((step for step in parts if step * parsed.mcu[0] >= spacing), across)
    blocks = []
    for position, one in enumerate(parsed.components):
        count = 1 if len(parsed.components) == 1 else one.across * one.down
        blocks += [position] * count
    try:
        dc_tables = np.stack([_lookup(*parsed.dc_tables[one.dc]) for one in parsed.components])
        ac_tables = np.stack([_lookup(*parsed.ac_tables[one.ac]) for one in parsed.components])
    except KeyError as error:
        raise Unsuitable("a table is missing") from error
    codes = np.stack([_dc_codes(min(one.dc, 1)) for one in parsed.components])
    scan = np.frombuffer(data, np.uint8)[parsed.data_at :]
    written, ends, fault = transcode(
        scan,
        across * down,
        np.array(blocks, np.int64),
        dc_tables,
        ac_tables,
        codes,
        parsed.restart_interval,
        interval,
    )
    if fault:
        raise Unsuitable("damaged scan")
    header = _header(parsed, interval)
    if len(header) > LONGEST_HEADER:
        raise Unsuitable("a header of more bytes than a record has room to count")
    starts = np.concatenate([[0], ends]).astype("<u4")
    fixed = RECORD.pack(
        MAGIC, parsed.width, parsed.height, *parsed.mcu, len(ends), interval
    ) + struct.pack("<H", len(header))
    return fixed + starts.tobytes() + header + written.tobytes() + b"\xff\xd9"


def _lookup(counts: bytes, values: bytes) -> np.ndarray[Any, Any]:
    """Length and value of the code that each 16 bits begin with: length << 8 | value, 0 if none."""
    table, code, at = np.zeros(1 << 16, np.int64), 0, 0
    for length, count in enumerate(counts, start=1):
        for _ in range(count):
            span = 1 << (16 - length)
            table[code * span : (code + 1) * span] = length << 8 | values[at]
            code, at = code + 1, at + 1
        code <<= 1
    return table


@functools.cache
def _dc_codes(which: int) -> np.ndarray[Any, Any]:
    """Code and length of each DC category in the standard's table: length << 16 | code."""
    codes, code = [], 0
    for length, count in enumerate(DC_COUNTS[which], start=1):
        for _ in range(count):
            codes.append(length << 16 | code)
            code += 1
        code <<= 1
    return np.array(codes, np.int64)


def _header(parsed: _Parsed, interval: int) -> bytes:
    """Everything from the first marker to the start of the scan, for the written intervals."""
    tables = b""
    for name in sorted({one.dc for one in parsed.components}):
        counts = bytes(DC_COUNTS[min(name, 1)])
        tables += bytes([name]) + counts + bytes(range(12))
    for name in sorted({one.ac for one in parsed.components}):
        counts, values = parsed.ac_tables[name]
        tables += bytes([0x10 | name]) + counts + values
    return b"".join(
        [
            b"\xff\xd8",
            *parsed.head,
            b"\xff\xc4" + (len(tables) + 2).to_bytes(2, "big") + tables,
            b"\xff\xdd\x00\x04" + interval.to_bytes(2, "big"),
            parsed.frame,
            parsed.scan,
        ]
    )
