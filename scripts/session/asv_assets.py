"""What asv's pages load from other servers, put beside them, so that they need no network.

asv names each file by an address. The same releases come as npm packages; a file is checked against
its hash below before it is used, and its tag in the page carries the hash, as asv's own does. flot
and stupidtable stand there as their authors pack them, not as the address has them.
"""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

from datasets_impl.errors import StudyError

FOLDER = "assets"  # beside the page
# npm package, file in it, and its SHA-256, by the end of the address in asv's page.
ASSETS = {
    "jquery-3.3.1.min.js":
        ("jquery@3.3.1", "dist/jquery.min.js", "FgpCb/KJQlLNfOu91ta32o/NMZxltwRo8QtmkMRdAu8="),
    "flot/0.8.3/jquery.flot.min.js":
        ("flot@0.8.3", "jquery.flot.js", "t7kx8nPDixJ3ucbB9OBcTsCYhaSHvdrzJ54tfkmjjhI="),
    "flot/0.8.3/jquery.flot.time.min.js":
        ("flot@0.8.3", "jquery.flot.time.js", "pYLIMq3HE4prBar2HxbrrCdHAfG+Sv6nfnOaHDS5xBo="),
    "flot/0.8.3/jquery.flot.selection.min.js":
        ("flot@0.8.3", "jquery.flot.selection.js", "5shfbB6+S02inYriOMfFBgKD8F9+8FT2uRgX0CwJKRg="),
    "flot/0.8.3/jquery.flot.categories.min.js":
        ("flot@0.8.3", "jquery.flot.categories.js", "boFmSyjqeVxzSQb0qhVhRkCnWsf705mn+5CEBAaYNRo="),
    "flot-orderbars@1.0.0/js/jquery.flot.orderBars.js":
        ("flot-orderbars@1.0.0", "js/jquery.flot.orderBars.js",
         "OXNbT0b5b/TgglckAfR8VaJ2ezZv0dHoIeRKjYMKEr8="),
    "stupidtable/1.0.1/stupidtable.min.js":
        ("stupid-table-plugin@1.1.3", "stupidtable.min.js",
         "RkI4Dyjr6e18rCUXk7KB74YgxDhiBdkniPmxL1zOtOA="),
    "blueimp-md5/2.19.0/js/md5.min.js":
        ("blueimp-md5@2.19.0", "js/md5.min.js", "ZNfe04jFYuS96eWM4gXl+gG5c0/NQ01Jbre0+/6bkn0="),
    "bootstrap@3.1.1/dist/js/bootstrap.min.js":
        ("bootstrap@3.1.1", "dist/js/bootstrap.min.js",
         "iY0FoX8s/FEg3c26R6iFw3jAtGbzDwcA5QJ1fiS0A6E="),
    "bootstrap@3.1.1/dist/css/bootstrap.min.css":
        ("bootstrap@3.1.1", "dist/css/bootstrap.min.css",
         "6VA0SGkrc43SYPvX98q/LhHwm2APqX5us6Vuulsafps="),
}  # fmt: skip
TAG = re.compile(r'<(?:script|link)\b[^>]*?\b(?:src|href)="(https?:[^"]+)"[^>]*>')

Fetch = Callable[[str, Path], Path]  # package and folder to the package's archive in it


def make_local(pages: Path, temporary: Path, fetch: Fetch | None = None) -> list[str]:
    """Put what the page in `pages` loads beside it, and let its tags name that; the files put.

    `temporary` is a folder for archives.

    Raises:
        StudyError: the page loads something else, npm cannot be run or does not get a package, or
            a file is not the one whose hash is known.
    """
    page = pages / "index.html"
    archives: dict[str, Path] = {}
    put: list[str] = []

    def local(tag: re.Match[str]) -> str:
        address = tag[1]
        known = next((ASSETS[end] for end in ASSETS if address.endswith(f"/{end}")), None)
        if known is None:
            raise StudyError(
                f"This version of asv loads {address} in its pages, which "
                "scripts/session/asv_assets.py does not know; add it there."
            )
        package, name, digest = known
        if package not in archives:
            archives[package] = (fetch or npm_pack)(package, temporary)
        put.append(f"{FOLDER}/{package}/{name}")
        target = pages / put[-1]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_checked(archives[package], name, digest))
        kind = f'rel="stylesheet" href="{put[-1]}"' if name.endswith("css") else f'src="{put[-1]}"'
        start = "link" if name.endswith("css") else "script"
        return f'<{start} {kind} integrity="sha256-{digest}" onerror="js_load_failure()">'

    page.write_text(TAG.sub(local, page.read_text(encoding="utf-8")), encoding="utf-8")
    return put


def _checked(archive: Path, name: str, digest: str) -> bytes:
    try:
        with tarfile.open(archive) as packed:
            file = packed.extractfile(f"package/{name}")
            content = file.read() if file else b""
    except (KeyError, OSError, tarfile.TarError) as error:
        raise StudyError(f"{archive.name}, as npm gave it, has no {name}.") from error
    if base64.b64encode(hashlib.sha256(content).digest()).decode() != digest:
        raise StudyError(
            f"{name} in {archive.name}, as npm gave it, is not the file whose hash is known; ask "
            "your registry for it, or compare its hash with scripts/session/asv_assets.py."
        )
    return content


def npm_pack(package: str, folder: Path) -> Path:
    """Let npm write the archive of `package` below `folder`; from its own cache where it can.

    What a user's npm is set to is left out: where it writes, and in which words it says so.

    Raises:
        StudyError: npm cannot be run, or does not get it.
    """
    place = folder / package
    place.mkdir(parents=True, exist_ok=True)
    command = ["npm", "pack", "--silent", "--prefer-offline", "--no-dry-run", "--pack-destination",
               str(place), package]  # fmt: skip
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace"
        )
    except OSError as error:
        raise StudyError(
            f"npm, which brings the libraries of asv's pages, cannot be run ({error.strerror}); "
            "install it (Debian: apt-get install npm)."
        ) from error
    made = next(place.glob("*.tgz"), None)
    if done.returncode or made is None:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        why = f" (npm says: {said[0]})" if said else ""
        raise StudyError(f"npm does not get {package}{why}; it needs a network the first time.")
    return made
