"""Where the generators stand that all of a process share: Python's, NumPy's and PyTorch's own."""

from __future__ import annotations

import random
from array import array
from typing import Any, NamedTuple

import numpy as np
import torch

from datasets_impl.errors import BadArgument
from datasets_impl.loaders.sources import arrays, plain

USUAL = "MT19937"  # what NumPy begins with
OUT_OF_ORDER = "out of order"  # in place of a `Drawn`: samples draw, from several threads at once


class Drawn(NamedTuple):
    """Their states, their many words as bytes: a batch brings them along."""

    python: Any
    numpy: Any
    torch: bytes

    @classmethod
    def now(cls) -> Drawn:
        version, words, *rest = random.getstate()
        numpy: Any = np.random.get_state(legacy=False)
        if numpy["bit_generator"] == USUAL:
            at = numpy["state"]
            more = numpy["has_gauss"], numpy["gauss"]
            numpy = USUAL, at["key"].tobytes(), at["pos"], *more
        else:  # set by `np.random.set_bit_generator`
            numpy = plain(numpy)
        python = version, array("I", words).tobytes(), *rest
        return cls(python, numpy, torch.get_rng_state().numpy().tobytes())

    def restore(self) -> None:
        """
        Raises:
            BadArgument: NumPy's own generator is of another kind now.
        """
        now: Any = np.random.get_state(legacy=False)
        if now["bit_generator"] != self._kind():
            raise BadArgument(
                f"NumPy's own generator was {self._kind()} when the state was taken, and is "
                f"{now['bit_generator']}; set it as it was, with numpy.random.set_bit_generator."
            )
        self._into(random.setstate, np.random.set_state, torch.set_rng_state)

    def require_kinds(self) -> None:
        """
        Raises:
            TypeError, ValueError, RuntimeError: one is no state of its generator.
        """
        kind: Any = np.random.MT19937
        if isinstance(self.numpy, dict):
            kind = getattr(np.random, str(self._kind()), None)
        numpy: Any = len  # of another library, which alone knows its states
        if isinstance(kind, type) and issubclass(kind, np.random.BitGenerator):
            numpy = np.random.RandomState(kind()).set_state
        try:
            self._into(random.Random().setstate, numpy, torch.Generator().set_state)
        except KeyError as error:
            raise ValueError(f"{error} is missing") from None

    def _kind(self) -> Any:
        """Of NumPy's generator."""
        return self.numpy.get("bit_generator") if type(self.numpy) is dict else self.numpy[0]

    def _into(self, python: Any, numpy: Any, pytorch: Any) -> None:
        version, words, *rest = self.python
        python((version, tuple(array("I", words)), *rest))
        if isinstance(self.numpy, dict):
            numpy(arrays(self.numpy))
            return
        name, key, *more = self.numpy
        numpy((name, np.frombuffer(key, np.uint32), *more))
        pytorch(torch.frombuffer(bytearray(self.torch), dtype=torch.uint8))
