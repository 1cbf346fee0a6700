"""A real training: a small convolutional net learns which photograph a crop is from."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional

RATE = 1e-2  # the highest of the schedule
WIDTHS = (16, 32, 64)


def small_net(classes: int) -> nn.Module:
    """Three convolutions, each of half the size, and a mean over what is left; channels last."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after in pairwise((3, *WIDTHS)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after)]
        layers += [nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], classes)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


class Training:
    """Trains a net for `steps` batches of (uint8 images x 3 x height x width, int64 classes)."""

    def __init__(self, classes: int, steps: int) -> None:
        self.net = small_net(classes)
        self.optimizer = torch.optim.Adam(self.net.parameters())
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, RATE, steps)

    def epoch(self, batches: Iterable[Any]) -> list[float]:
        """The loss of each batch."""
        self.net.train()
        losses = []
        for images, classes in batches:
            loss = functional.cross_entropy(self.net(scaled(images)), classes)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.schedule.step()
            losses.append(float(loss.detach()))
        return losses

    def accuracy(self, batches: Iterable[Any]) -> float:
        """Share of the images whose class is found."""
        self.net.eval()
        right = seen = 0
        with torch.no_grad():
            for images, classes in batches:
                right += int((self.net(scaled(images)).argmax(1) == classes).sum())
                seen += len(classes)
        return right / seen


def scaled(images: torch.Tensor) -> torch.Tensor:
    return images.float().div_(127.5).sub_(1.0)
