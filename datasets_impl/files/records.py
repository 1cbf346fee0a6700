"""Files that are read as a whole: pictures, and small ones that say what something is, such as
headers, states, results and lists of files.

Whatever stands under the name, reading ends: nothing is waited for, and nothing fills the memory.
"""

from __future__ import annotations

import codecs
import errno
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

MOST_BYTES = 1 << 28  # a log of a thousand rounds has half of that; parsed, it takes ten times that


MEBIBYTE = 1 << 20
CONFLICT = re.compile(rb"^(<{7}|>{7})(\s|$)", re.MULTILINE)
KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}


def require_file(status: os.stat_result, path: str) -> None:
    """That what was looked at is a file; a reader would wait for a pipe.

    Raises:
        OSError: it is something else; says what.
    """
    if not stat.S_ISREG(status.st_mode):
        kind = KINDS.get(stat.S_IFMT(status.st_mode), "a device")
        raise OSError(errno.EINVAL, f"it is {kind}, no file", path)


def bytes_of(path: str) -> bytes:
    """All of a file of any size, with as few calls of the system as there can be.

    Raises:
        OSError: it is not there, may not be read, or is no file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        require_file(status, path)
        content = os.read(descriptor, status.st_size + 1)
        while len(content) != status.st_size:  # 2 GB are the most at a time; some say 0 of any size
            if not (more := os.read(descriptor, max(status.st_size, MEBIBYTE))):
                break
            content += more
        return content
    finally:
        os.close(descriptor)


def content_of(path: Path, most: int = MOST_BYTES) -> bytes:
    """All of a file.

    Raises:
        OSError: it is not there, or may not be read.
        ValueError: it is no regular file, or has more than `most` bytes; says which.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        if status.st_size > most:
            raise ValueError(f"it has {status.st_size:,} bytes, and {most:,} is the most it can be")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def text_of(path: Path, most: int = MOST_BYTES) -> str:
    """The same as text.

    Raises:
        OSError, ValueError: see `content_of`; or it is no UTF-8.
    """
    return content_of(path, most).decode()


def json_of(path: Path) -> Any:
    """What a file of JSON says.

    Raises:
        OSError, ValueError: see `text_of`; or it is no JSON, or nested too deep.
    """
    text = text_of(path)
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def spoilt(path: Path, otherwise: str, *, marked: bool = False) -> str:
    """What git or an editor did to a file that cannot be understood, and what to do about it, as
    the rest of a sentence that its name begins; else `otherwise`.

    Args:
        marked: its reader takes a byte order mark, so that is not why.
    """
    try:
        content = content_of(path)
    except (OSError, ValueError):
        return otherwise
    if CONFLICT.search(content):
        return "holds conflict markers of git (<<<<<<<); resolve the conflict."
    if content.startswith(codecs.BOM_UTF8) and not marked:
        return "begins with a byte order mark (BOM); save it as UTF-8 without one."
    return otherwise


def is_record(path: Path, *names: str) -> bool:
    """Whether a file holds an object of just these names, or the beginning of one as `json.dumps`
    has it, which was cut short.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    try:
        known = json_of(path)
    except ValueError:
        return text_of(path).startswith(f'{{"{names[0]}": ')
    return isinstance(known, dict) and set(known) == set(names)
