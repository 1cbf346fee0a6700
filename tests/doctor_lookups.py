"""Datasets that look up for each sample what could be looked up once: rows of a table, a slice of a
packed volume, an object that is slow to make. As in `doctor_again`.
"""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import torch

from tests.doctor_again import Frames


class Volumes(Frames):
    """A slice of a compressed volume, which is unpacked for each."""

    def prepare(self) -> None:
        for number in range(2):
            with gzip.open(self.folder / f"scan-{number}.npy.gz", "wb", 1) as file:
                np.save(file, self.rows.reshape(2, 20, 96, 96)[number].transpose(1, 2, 0))

    def __getitem__(self, index: int) -> torch.Tensor:
        scan, depth = divmod(index, 20)
        with gzip.open(self.folder / f"scan-{scan}.npy.gz") as file:
            volume = np.load(file)  # the costly line
        return torch.from_numpy(volume[..., depth].copy())


class Masked(Frames):
    """The rows of a patient, found by comparing a whole column."""

    count = 400

    def prepare(self) -> None:
        drawn = np.random.default_rng(0).random(20_000)
        names = [f"patient-{number % 400:03}" for number in range(20_000)]
        self.visits = pd.DataFrame({"patient": names, "day": range(20_000), "value": drawn})

    def __getitem__(self, index: int) -> torch.Tensor:
        part = self.visits[self.visits["patient"] == f"patient-{index:03}"]  # the costly line
        return torch.tensor(part["value"].to_numpy())


class MaskedTwice(Masked):
    """By two columns, one of them as an attribute, in the order of a third."""

    def __getitem__(self, index: int) -> torch.Tensor:
        visits = self.visits
        part = visits.loc[  # the costly line
            (visits.day >= 4000) & (visits.patient == f"patient-{index:03}"), ["day", "value"]
        ].sort_values("day", ascending=False)
        return torch.tensor(part.to_numpy())


class GroupedAnew(Masked):
    """The table is grouped for each sample."""

    def __getitem__(self, index: int) -> torch.Tensor:
        found = self.visits.groupby("patient").get_group(f"patient-{index:03}")  # the costly line
        return torch.tensor(found["value"].to_numpy())


class Counted(Masked):
    """Also asks the mask how many there are, which a row's number does not tell."""

    def __getitem__(self, index: int) -> torch.Tensor:
        chosen = self.visits["day"] > index  # the costly line
        return torch.tensor([chosen.sum(), len(self.visits), int((~chosen).sum())])


VISITS = pd.DataFrame({"ward": np.arange(4000) % 40, "value": np.arange(4000.0)})


class OfModule(Frames):
    """The table is the module's."""

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor(VISITS[VISITS.ward == index]["value"].to_numpy())  # the costly line


class Tokeniser:
    """Is slow to make, and quick to ask."""

    def __init__(self, size: int) -> None:
        self.numbers = {f"word-{number}": number for number in range(size)}

    def encode(self, text: str) -> list[int]:
        return [self.numbers.setdefault(word, len(self.numbers)) for word in text.split()]


class TokeniserAnew(Frames):
    """Makes its tokeniser for each sample."""

    def __getitem__(self, index: int) -> torch.Tensor:
        tokeniser = Tokeniser(1000)  # the costly line
        return torch.tensor(tokeniser.encode(f"word-{index} word-{index + 1}"))


class Learning(Frames):
    """What a sample adds to the object another one must not find."""

    def __getitem__(self, index: int) -> torch.Tensor:
        tokeniser = Tokeniser(1000)  # the costly line
        return torch.tensor(tokeniser.encode(f"new-{index}") * 8)
