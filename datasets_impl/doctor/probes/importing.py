"""The user's module, and what to do where it cannot be imported."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from datasets_impl.doctor.probes.raised import GUARD, RAISED, sentence, text_of
from datasets_impl.errors import StudyError
from datasets_impl.files.paths import user_path

READERS = ("argparse", "optparse", "click", "docopt", "absl")  # of command lines


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
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module  # workers that are not forked unpickle by this name
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


def attribute_of(module: Any, name: str, target: str) -> Any:
    found = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise StudyError(f"{target}: there is no {name!r} in it; check the name.") from None
    return found
