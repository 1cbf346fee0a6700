"""What a command says of a fault names things as the user did."""

from __future__ import annotations

import pytest

from datasets_impl.errors import StudyError, exit_on_study_error
from datasets_impl.files.paths import CACHE_VARIABLE, cache_dir


def test_whoever_has_no_home_is_asked_for_a_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(name: str) -> str:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setattr("platformdirs.user_cache_dir", homeless)
    with pytest.raises(StudyError, match=f"no home folder; set {CACHE_VARIABLE}"):
        cache_dir()


@pytest.mark.parametrize("named", ["train.py:dog:", "[red]x[/red]", "[/]"])
def test_a_name_is_said_as_it_is(named: str, capsys: pytest.CaptureFixture[str]) -> None:
    @exit_on_study_error
    def command() -> int:
        raise StudyError(f"There is no {named}.")

    assert command() == 2
    assert f"There is no {named}." in capsys.readouterr().err
