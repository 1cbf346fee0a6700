"""Build a corpus, or find it in the cache, and say what it holds."""

from __future__ import annotations

import argparse
from typing import get_args

from datasets_impl.corpus import DEFAULT_QUALITY, Content, CorpusSpec, ensure_corpus
from datasets_impl.errors import exit_on_study_error
from datasets_impl.files.paths import IMAGES_VARIABLE, images_dir, user_path
from datasets_impl.streams import escaped

SHOWN = 20  # sentences about skipped files on the terminal


@exit_on_study_error
def main(arguments: list[str] | None = None) -> int:
    """Build a corpus, or find it in the cache, and say what it holds."""
    parser = argparse.ArgumentParser(prog="python -m datasets_impl.corpus", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--count", type=int, default=1024, help="images (default: 1024)")
    parser.add_argument("--resolution", type=int, default=256, help="pixels a side (default: 256)")
    parser.add_argument(
        "--quality",
        type=int,
        default=DEFAULT_QUALITY,
        help=f"JPEG quality 1-100 (default: {DEFAULT_QUALITY}; own pictures: their own tables)",
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--images",
        type=user_path,
        help=f"a folder of your own pictures (default: ${IMAGES_VARIABLE})",
    )
    parser.add_argument("--content", choices=get_args(Content), default="photographs")
    options = parser.parse_args(arguments)
    spec = CorpusSpec(
        options.count,
        options.resolution,
        options.quality,
        options.seed,
        options.images or images_dir(),
        options.content,
    )
    corpus = ensure_corpus(spec, progress=True, verify=True)
    manifest, sizes = corpus.manifest, corpus.manifest.file_bytes
    print(manifest.summary())
    print(f"source           {manifest.label}, {manifest.used:,} used of {manifest.found:,} found")
    print(f"quality          {manifest.quality}")
    print(f"bytes per pixel  {manifest.bytes_per_pixel:.3f}")
    print(f"bytes per file   {sizes.smallest:,} to {sizes.largest:,}, median {sizes.median:,}")
    print(f"content hash     {manifest.content_hash}")
    print(f"folder           {escaped(corpus.root)}")
    if manifest.repeated:
        print(f"{manifest.repeated:,} images repeat others: the pictures are too few or too plain")
    for sentence in manifest.skipped[:SHOWN]:
        print(sentence)
    if len(manifest.skipped) > SHOWN:
        print(f"{len(manifest.skipped) - SHOWN:,} more were skipped; manifest.json names them all")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
