"""The inner loop of `writing.with_restarts`: copy a scan bit by bit, with restart markers.

Compiled by numba; in plain Python it would take seconds for an image. AC codes are copied as they
are. DC differences are written with the standard's table, because an optimised table may lack the
category that the first block of an interval needs.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

LONGEST = 2.5  # times the scan: standard DC codes and stuffing are the only growth
SPARE = 4096


def compiled(function: Any) -> Any:
    """By numba, and kept for the next process where its cache may be written."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # neither this folder nor the user's cache folder may be
        return numba.njit(nogil=True)(function)


@compiled
def _completed(out: Any, written: int, kept: Any, held: int) -> int:
    """Write the last `held` bits, filled up with ones to a whole byte, as the standard has it."""
    if held:
        filled = (kept << np.uint64(8 - held)) | np.uint64((1 << (8 - held)) - 1)
        out[written] = np.uint8(filled & np.uint64(0xFF))
        written += 1
        if out[written - 1] == 0xFF:
            out[written] = 0
            written += 1
    return written


@compiled
def _transcode(
    scan: Any,
    mcus: int,
    blocks: Any,
    dc_tables: Any,
    ac_tables: Any,
    dc_codes: Any,
    old_interval: int,
    new_interval: int,
    out: Any,
    ends: Any,
) -> tuple[int, int]:
    """Bytes written, and 0, or 1 when the scan is damaged or `out` too small."""
    at, size = 0, len(scan)
    window, have = np.uint64(0), 0  # bits read and not used yet, the next one highest
    kept, held = np.uint64(0), 0  # bits to write, fewer than 8
    written, segment = 0, 0
    old = np.zeros(4, np.int64)
    new = np.zeros(4, np.int64)
    for mcu in range(mcus):
        if old_interval and mcu and mcu % old_interval == 0:
            window, have = np.uint64(0), 0
            # The marker stands at the next whole byte; what was read ahead stops before it.
            while at + 1 < size and not (scan[at] == 0xFF and 0xD0 <= scan[at + 1] <= 0xD7):
                at += 1
            at += 2
            old[:] = 0
        if mcu and mcu % new_interval == 0:
            written = _completed(out, written, kept, held)
            kept, held = np.uint64(0), 0
            out[written] = 0xFF
            out[written + 1] = 0xD0 + segment % 8
            written += 2
            ends[segment] = written
            segment += 1
            new[:] = 0
        for position in range(len(blocks)):
            component = blocks[position]
            k = 0
            while k < 64:
                while have <= 32:  # enough for a code of 16 bits and 16 more
                    byte = 0xFF
                    if at < size:
                        byte = scan[at]
                        if byte == 0xFF:
                            following = scan[at + 1] if at + 1 < size else 0xD9
                            if following == 0:
                                at += 2
                            else:  # a marker: the rest is padding
                                byte = 0xFF
                        else:
                            at += 1
                    window = (window << np.uint64(8)) | np.uint64(byte)
                    have += 8
                peek = np.int64((window >> np.uint64(have - 16)) & np.uint64(0xFFFF))
                entry = dc_tables[component, peek] if k == 0 else ac_tables[component, peek]
                if entry == 0:
                    return written, 1
                length, symbol = entry >> 8, entry & 0xFF
                have -= length
                count = symbol & 15
                extra = np.int64(0)
                if count:
                    have -= count
                    extra = np.int64((window >> np.uint64(have)) & np.uint64((1 << count) - 1))
                if k == 0:
                    if symbol > 11:
                        return written, 1
                    difference = extra
                    if count and extra < (1 << (count - 1)):
                        difference = extra - (1 << count) + 1
                    old[component] += difference
                    difference = old[component] - new[component]
                    new[component] = old[component]
                    size_of = abs(difference)
                    count = 0
                    while size_of:
                        count += 1
                        size_of >>= 1
                    if count > 11:
                        return written, 1
                    code = dc_codes[component, count]
                    bits, total = code & 0xFFFF, code >> 16
                    value = difference if difference >= 0 else difference + (1 << count) - 1
                    k = 1
                else:
                    bits, total, value = peek >> (16 - length), length, extra
                    run = symbol >> 4
                    if count:
                        k += run + 1
                    elif run == 15:
                        k += 16
                    else:
                        k = 64
                bits = (bits << count) | value
                total += count
                kept = (kept << np.uint64(total)) | np.uint64(bits)
                held += total
                while held >= 8:
                    held -= 8
                    full = np.int64((kept >> np.uint64(held)) & np.uint64(0xFF))
                    if written + 8 > len(out):
                        return written, 1
                    out[written] = full
                    written += 1
                    if full == 0xFF:
                        out[written] = 0
                        written += 1
                kept &= np.uint64((1 << held) - 1)
            if k > 64:
                return written, 1
    written = _completed(out, written, kept, held)
    ends[segment] = written
    return written, 0


def transcode(
    scan: np.ndarray[Any, Any],
    mcus: int,
    blocks: np.ndarray[Any, Any],
    dc_tables: np.ndarray[Any, Any],
    ac_tables: np.ndarray[Any, Any],
    dc_codes: np.ndarray[Any, Any],
    old_interval: int,
    new_interval: int,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], bool]:
    """The scan with a restart marker every `new_interval` MCUs.

    Args:
        scan: bytes from behind the scan header on, with stuffing and what follows.
        mcus: how many the image has.
        blocks: component of each block of an MCU.
        dc_tables, ac_tables: for each component the table of `writing._lookup`.
        dc_codes: for each component code and length of each category to write.
        old_interval: restart interval of `scan`, 0 without one.

    Returns:
        The bytes, where each interval ends (its marker included), and whether the scan is damaged.
    """
    out = np.empty(int(LONGEST * len(scan)) + SPARE + 8 * mcus, np.uint8)
    ends = np.zeros(-(-mcus // new_interval), np.int64)
    written, fault = _transcode(
        scan, mcus, blocks, dc_tables, ac_tables, dc_codes, old_interval, new_interval, out, ends
    )
    return out[:written], ends, bool(fault)
