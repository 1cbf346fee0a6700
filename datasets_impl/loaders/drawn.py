"""Where the generators stand that all of a process share: Python's, NumPy's and PyTorch's own."""

from __future__ import annotations

import random
from array import array
from typing import Any, NamedTuple

import numpy as np
import torch

OUT_OF_ORDER = "out of order"  # in place of a `Drawn`: samples draw, from several threads at once


class Drawn(NamedTuple):
    """Their states, their many words as bytes: a batch brings them along."""

    python: Any
    numpy: Any
    torch: bytes

    @classmethod
    def now(cls) -> Drawn:
        version, words, *rest = random.getstate()
        legacy: Any = np.random.get_state(legacy=True)
        name, key, *more = legacy
        python = version, array("I", words).tobytes(), *rest
        numpy = name, key.tobytes(), *more
        return cls(python, numpy, torch.get_rng_state().numpy().tobytes())

    def restore(self) -> None:
        self._into(random.setstate, np.random.set_state, torch.set_rng_state)

    def require_kinds(self) -> None:
        """
        Raises:
            TypeError, ValueError, RuntimeError: one is no state of its generator.
        """
        elsewhere = np.random.RandomState()
        self._into(random.Random().setstate, elsewhere.set_state, torch.Generator().set_state)

    def _into(self, python: Any, numpy: Any, pytorch: Any) -> None:
        version, words, *rest = self.python
        python((version, tuple(array("I", words)), *rest))
        name, key, *more = self.numpy
        numpy((name, np.frombuffer(key, np.uint32), *more))
        pytorch(torch.frombuffer(bytearray(self.torch), dtype=torch.uint8))
