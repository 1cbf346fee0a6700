"""Stand-ins for torch and torchvision, for studies that measure nothing of them.

Importing these takes seconds of every process that imports the suite, and a study has many.
"""

from __future__ import annotations

import os
from pathlib import Path

TORCHVISION = """
import sys
from types import ModuleType

class Nothing(ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})

for name in ("io", "transforms", "transforms.v2", "transforms.v2.functional"):
    sys.modules[f"torchvision.{name}"] = Nothing(name)
"""
TORCH = """
import importlib.abc, importlib.machinery, sys
from abc import ABCMeta
from types import ModuleType

class Kind(ABCMeta):
    def __getattr__(cls, name):
        return made(name)

    def __getitem__(cls, _):
        return cls

    def __iter__(cls):
        return iter(())

class Thing(metaclass=Kind):
    def __init__(self, *given, **more): ...

    def __init_subclass__(cls, **more): ...

    def __call__(self, *given, **more):
        return given[0] if given else self

    def __getattr__(self, name):
        return made(name)

def made(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return Kind(name, (Thing,), {})

class Anything(ModuleType):
    __path__ = []

    def __getattr__(self, name):
        setattr(self, name, made(name))
        return vars(self)[name]

class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name.startswith("torch."):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return Anything(spec.name)

    def exec_module(self, module): ...

sys.meta_path.insert(0, Finder())
sys.modules[__name__].__class__ = Anything
cuda = sys.modules["torch.cuda"] = Anything("torch.cuda")
cuda.is_available = lambda: False
__version__ = "2"
"""


def without_torchvision(home: Path, root: Path, *, torch: bool = True) -> dict[str, str]:
    """Variables for a study of the code in `root`; the stand-ins go into the folder `home`.

    Args:
        torch: whether it is there.
    """
    stand_ins = {"torchvision": TORCHVISION} | ({} if torch else {"torch": TORCH})
    for name, text in stand_ins.items():
        package = home / "stand-in" / name
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text(text)
    path = os.pathsep.join(map(str, (root, home / "stand-in")))
    return {"PYTHONPATH": path, "ASV_PYTHONPATH": path}  # asv's processes go by the second
