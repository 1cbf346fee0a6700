"""The words of the page that a reader may not know, and links to them where they first occur."""

from __future__ import annotations

import re

from markupsafe import Markup

WORDS = {
    "naive": "The post's first dataset: it opens and decodes a JPEG file for each item.",
    "preloaded": "The post's second: it decodes every image once, into a list of tensors.",
    "mapped": "The post's third: pixels in one file on disk, mapped into memory (`np.memmap`).",
    "mapped-fixed": "Our corrected twin of it, `ReadOnlyMappedDataset`: each worker opens the "
    "mapping itself, and each item is a copy.",
    "pack": "One file that holds all images back to back, as JPEG or as pixels.",
    "arm": "One of the ways that are compared: a dataset, or a loader with its setting.",
    "cell": "One setting in which a claim is tried: size, number of images, workers, storage.",
    "block": "One round of the measurement, in fresh processes. Intervals are over blocks.",
    "for": "The whole interval of a cell lies on the claim's side of the bar; *against* on the "
    "other side; *unclear* on both, or once Holm's correction for the many cells of a claim is "
    "applied: the interval shown is without it.",
    "ceiling": "What the machine does with the bare work and no loader around it. Its decoder runs "
    "in threads from memory; it is measured too, so noise can put a loader slightly above it.",
    "A/A": "A dataset compared with itself; whatever that finds is a false alarm.",
}


def anchor(word: str) -> str:
    """The id of a word's place in the list."""
    return "word-" + re.sub(r"\W", "-", word).lower()


class FirstUses:
    """Links each word where it first stands; call it on the cards' texts in their order."""

    def __init__(self) -> None:
        self.left = [word for word in WORDS if word not in ("for", "arm", "A/A")]

    def __call__(self, html: Markup) -> Markup:
        for word in tuple(self.left):
            found = re.search(rf"(?<![\w\"/-]){word}s?(?![\w\"-])", html)
            if found and "</" not in html[found.end() : found.end() + 2]:
                link = f'<a class="word" href="#{anchor(word)}">{found[0]}</a>'
                html = Markup(html[: found.start()] + Markup(link) + html[found.end() :])
                self.left.remove(word)
        return html
