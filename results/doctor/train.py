"""The dataset of the session in README: notes on a scene are parsed anew for each sample.

The picture is drawn by this, on an idle machine:

    here=$PWD && cd "$(mktemp -d)" && cp "$here/results/doctor/train.py" .
    PYTHONPATH="$here" "$here/.venv/bin/python" -m datasets_impl.doctor train.py:loader \
        --step-ms 20 --svg session.svg && cp session.svg "$here/results/doctor/"
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

SCENES, OBJECTS, CORNERS = 600, 48, 40


class Scenes(Dataset):
    """Outlines of the objects in a scene: objects x corners x 2, float32, pixels."""

    def __init__(self, root):
        self.paths = sorted(Path(root).glob("*.json"))

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with open(self.paths[index]) as file:
            scene = json.load(file)
        outlines = [one["outline"] for one in scene["objects"]]
        return torch.tensor(outlines)


def loader(root="scenes"):
    if not Path(root).exists():
        write_scenes(Path(root))
    return DataLoader(Scenes(root), batch_size=32, shuffle=True)


def write_scenes(root):
    """What a tool for annotations exports: a file for each scene."""
    root.mkdir()
    rng = np.random.default_rng(0)
    for number in range(SCENES):
        outlines = rng.uniform(0, 1024, (OBJECTS, CORNERS, 2)).round(2).tolist()
        objects = [{"label": "car", "outline": outline} for outline in outlines]
        (root / f"{number:04}.json").write_text(json.dumps({"objects": objects}))
