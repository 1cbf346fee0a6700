"""Members of compressed archives: what is unpacked before one of them is reached."""

from __future__ import annotations

import contextlib
import tarfile
from pathlib import Path
from statistics import median
from typing import Any

from datasets_impl.doctor.probes.callees import Callee, names_called
from datasets_impl.doctor.probes.own_lines import users_place
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.reads import indices
from datasets_impl.doctor.probes.source_lines import Line, line_at
from datasets_impl.doctor.probes.standing import replaced
from datasets_impl.doctor.probes.target import Subject

SAMPLES = 5
PACKED = ("GzipFile", "BZ2File", "LZMAFile", "ZstdFile", "_Stream")  # what a tar file is read by


def archives(subject: Subject) -> list[dict[str, Any]]:
    """Of each compressed tar file that samples come from: its bytes, those of the usual member, and
    those from its start to the end of that, unpacked. A zip file has an index, and each member is
    packed by itself."""
    noted: dict[str, list[tuple[int, int]]] = {}
    lines: dict[str, Line] = {}
    extract = tarfile.TarFile.extractfile

    def noting(archive: Any, member: Any) -> Any:
        found = extract(archive, member)
        with contextlib.suppress(*RAISED):
            known = archive.getmember(member) if isinstance(member, str) else member
            if type(archive.fileobj).__name__ in PACKED and archive.name:
                pair = known.size, known.offset_data + known.size
                noted.setdefault(str(archive.name), []).append(pair)
                lines.setdefault(str(archive.name), line_at(*users_place()))
        return found

    if "extractfile" not in names_called(subject):
        return []
    with replaced(Callee("extractfile", tarfile.TarFile, "extractfile"), noting):
        for index in indices(subject, SAMPLES):
            with contextlib.suppress(*RAISED):
                subject.read(index)
    return [
        {
            "path": path,
            "archive": Path(path).stat().st_size if Path(path).exists() else 0,
            "member": int(median(size for size, _ in pairs)),
            "unpacked": int(median(until for _, until in pairs)),
            "lines": [lines[path]],
        }
        for path, pairs in noted.items()
    ]
