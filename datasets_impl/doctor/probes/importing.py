"""The user's module, and what to do where it cannot be imported."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from datasets_impl.doctor.probes.raised import GUARD, RAISED, sentence, text_of
from datasets_impl.errors import StudyError
from datasets_impl.files.paths import user_path

READERS = ("argparse", "optparse", "click", "docopt", "absl")  # of command lines
_USERS: list[ModuleType] = []  # files that were imported here


def require_importable(target: str) -> None:
    """That no folder is meant that is elsewhere, nor a module that cannot be imported by itself.

    Raises:
        StudyError: it is an address, a notebook, or named from within its package.
    """
    where = target.rpartition(":")[0]
    if "://" in target:
        raise StudyError(
            f"{target} is an address, and only folders of this machine are looked at as they "
            "are; name a function that makes a dataset of it, as file.py:object."
        )
    if ".ipynb" in (Path(target).suffix, Path(where).suffix):
        raise StudyError(
            f"{where or target} is a notebook, which cannot be imported; save what makes the "
            "dataset as a .py file, and name an object in that."
        )
    if where.startswith(".") and where.lstrip(".").replace(".", "").isidentifier():
        raise StudyError(
            f"{where} is named from within its package; name it as package.module:object in the "
            "folder above, or as file.py:object."
        )


def imported(where: str) -> Any:
    """
    Raises:
        StudyError: the module cannot be imported, with what the user can do about it.
    """
    sys.argv = [where]  # the doctor's own arguments are none of the module's
    try:
        return module_of(where)
    except StudyError:
        raise
    except RAISED as error:
        raise StudyError(
            f"{where} could not be imported: {sentence(error)}{_remedy_of_import(error)}."
        ) from error


def _remedy_of_import(error: BaseException) -> str:
    """What to do about it, where that is known, after a semicolon."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SystemExit):
        reads = any(name in frame.filename for frame in frames for name in READERS)
        does = "reads the command line" if reads else "ends the program"
        return f"; it {does} when it is imported: {GUARD}"
    if isinstance(error, EOFError):
        return f"; it asks for input when it is imported: {GUARD}"
    if isinstance(error, ModuleNotFoundError):
        return "; install what is missing where the doctor runs, or run it where your code runs"
    if isinstance(error, ImportError) and "no known parent package" in text_of(error):
        return "; it is part of a package: name it as package.module:object in the folder above"
    if (
        isinstance(error, KeyError)
        and frames
        and frames[-1].filename in (os.__file__, "<frozen os>")
    ):
        return "; set the environment variable of that name for the doctor as for your training"
    if isinstance(error, SyntaxError):
        return ""
    return f"; if it does more than define things, {GUARD}"


def module_of(where: str) -> Any:
    if where.endswith(".py"):
        path = user_path(where).resolve()
        if not path.is_file():
            raise StudyError(f"There is no file {where}; check the path before the colon.")
        name = _free_name(path)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        _USERS.append(module)
        sys.modules[name] = module  # workers that are not forked unpickle by this name
        sys.path.insert(0, str(path.parent))
        spec.loader.exec_module(module)
        return module
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        if not f"{where}.".startswith(f"{error.name}."):
            raise  # one that it imports
        raise StudyError(
            f"The module {where} could not be imported ({error}); run the doctor in the folder "
            "that holds it, or name the file."
        ) from error


def _free_name(path: Path) -> str:
    """The name by which the file is imported: its own, unless what others import by that, such as
    `random`, would become the file."""
    known = sys.modules.get(path.stem)
    taken = known is not None and not any(known is one for one in _USERS)
    return f"{path.stem}_of_{path.parent.name}" if taken else path.stem


def attribute_of(module: Any, name: str, target: str) -> Any:
    found = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise StudyError(f"{target}: there is no {name!r} in it; check the name.") from None
    return found
