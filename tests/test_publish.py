"""The report and asv's own pages in one folder, whole without network."""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import io
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asv
import pytest

from datasets_impl.errors import StudyError
from datasets_impl.files import whole
from scripts import publish as command
from scripts.session import asv_assets, provenance
from scripts.session.asv_assets import ASSETS, FOLDER, make_local
from tests.browsing import launched, needs_browser, paged
from tests.synthetic_results import Bench, Noise, write_results

WWW = Path(asv.__file__).parent / "www"


def pages(tmp_path: Path) -> Path:
    """asv's page as it is installed here."""
    made = tmp_path / "pages"
    made.mkdir()
    shutil.copy(WWW / "index.html", made)
    return made


def archive(package: str, folder: Path) -> Path:
    """What npm would give: each file holds its own name."""
    path = folder / f"{package}.tgz"
    with tarfile.open(path, "w:gz") as packed:
        for name in {name for each, name, _ in ASSETS.values() if each == package}:
            about = tarfile.TarInfo(f"package/{name}")
            about.size = len(name)
            packed.addfile(about, io.BytesIO(name.encode()))
    return path


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hashes of what `archive` holds."""
    for end, (package, name, _) in list(ASSETS.items()):
        digest = base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()
        monkeypatch.setitem(ASSETS, end, (package, name, digest))


def test_every_address_of_this_asv_becomes_a_file_with_its_hash(
    known: None, tmp_path: Path
) -> None:
    made = pages(tmp_path)
    put = make_local(made, tmp_path, archive)
    text = (made / "index.html").read_text()
    assert len(put) == len(ASSETS) and not asv_assets.TAG.search(text)
    for package, name, digest in ASSETS.values():
        assert (made / FOLDER / package / name).read_text() == name
        assert f'"{FOLDER}/{package}/{name}" integrity="sha256-{digest}"' in text
    assert 'src="jquery.flot.axislabels.js"' in text, "what is asv's own stays"


def test_a_file_that_is_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="not the file whose hash is known"):
        make_local(pages(tmp_path), tmp_path, archive)


def test_an_address_that_is_new_is_named(known: None, tmp_path: Path) -> None:
    made = pages(tmp_path)
    with (made / "index.html").open("a") as page:
        page.write('<script src="https://example.org/new.js"></script>')
    with pytest.raises(StudyError, match=r"loads https://example.org/new\.js"):
        make_local(made, tmp_path, archive)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (None, "install it"),
        ("exit 1", "does not get flot"),
        ("exit 0", "does not get flot"),
        ("printf '\\377\\n'", "does not get flot"),
    ],
)
def test_npm_that_is_missing_or_fails_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str | None, words: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if said:
        (tmp_path / "npm").write_text(f"#!/bin/sh\necho no network >&2\n{said}\n")
        (tmp_path / "npm").chmod(0o755)
    with pytest.raises(StudyError, match=words):
        asv_assets.npm_pack("flot@0.8.3", tmp_path)


def test_npm_is_asked_where_to_write_whatever_it_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seek = 'while [ "$1" != --pack-destination ]; do shift; done'
    (tmp_path / "npm").write_text(f'#!/bin/sh\n{seek}\necho > "$2/flot.tgz"; echo "[{{}}\n]"\n')
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert asv_assets.npm_pack("flot@0.8.3", tmp_path / "there").name == "flot.tgz"


def results(tmp_path: Path, attic: str = "") -> Path:
    """Two machines and two Pythons, of the commit that is checked out; one machine's of another."""
    levels = {"px": [64, 256], "impl": ["naive", "preloaded"]}
    for machine, python in (("lab", "3.11"), ("lab", "3.14"), ("attic", "3.11")):
        around = Noise()
        write_results(
            tmp_path / "results",
            [Bench("item.ByImplementation.track_item", levels,
                   lambda factors, around=around: around.around(factors["px"]))],
            machine=machine,
            commit=(machine == "attic" and attic) or provenance.git("rev-parse", "HEAD"),
            environment=f"existing-py{python}",
            params={"python": python, "torch": "2.14.1"},
        )  # fmt: skip
    return tmp_path / "results"


def test_without_git_it_is_git_that_is_to_be_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = results(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    assert command.main(["--results", str(found), "--out", str(tmp_path / "out")]) == 2
    assert "install git" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def published(tmp_path: Path) -> Path:
    out = tmp_path / "out"
    assert command.main(["--results", str(results(tmp_path)), "--out", str(out)]) == 0
    return out


@pytest.mark.slow
def test_somebody_elses_folder_stays_and_ours_is_replaced(
    known: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(asv_assets, "npm_pack", archive)
    monkeypatch.setenv("HOME", str(tmp_path))
    out = published(tmp_path)
    assert sorted(path.name for path in out.iterdir()) == ["asv", "report"]
    assert "../asv/index.html#" in (out / "report" / "index.html").read_text()
    (out / "asv" / "mine").write_text("mine")
    given = ["--results", str(tmp_path / "results"), "--out", str(out)]
    assert command.main(given) == 2, "a file that is nobody's of ours lies there"
    (out / "asv" / "mine").unlink()
    (out / ".asv.partial" / "new").mkdir(parents=True)  # of one that was killed
    (out / ".asv.partial" / "unfinished").write_text(whole.TEXT)
    assert command.main(given) == 0
    assert sorted(path.name for path in out.iterdir()) == ["asv", "report"]


@pytest.mark.slow
@pytest.mark.parametrize("whole", [True, False])
def test_results_of_a_commit_that_is_not_here_are_named(
    whole: bool,
    known: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever repository a hook of git's names in the environment."""
    monkeypatch.setattr(asv_assets, "npm_pack", archive)
    monkeypatch.setenv("HOME", str(tmp_path))
    subprocess.run(["git", "init", "-q", tmp_path / "other"], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    found = results(tmp_path, attic="" if whole else "0123456789" * 4)
    out = tmp_path / "out"
    code = command.main(["--results", str(found), "--out", str(out)])
    said = " ".join(capsys.readouterr().err.split())
    graphs = " ".join(map(str, (out / "asv" / "graphs").rglob("item.*.json")))
    assert "machine-lab" in graphs and ("machine-attic" in graphs) == whole
    assert (out / "report" / "index.html").exists()
    assert (code, said) == (0, "") if whole else code == 1 and "results of 01234567, which" in said


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A server of what is published, with the libraries as npm gives them."""
    if "npm_config_cache" not in os.environ:
        monkeypatch.setenv("npm_config_cache", str(Path.home() / ".npm"))
    try:
        asv_assets.npm_pack("blueimp-md5@2.19.0", tmp_path)
    except StudyError as reason:
        pytest.skip(str(reason))
    monkeypatch.setenv("HOME", str(tmp_path))
    out = published(tmp_path)
    handler = functools.partial(Quiet, directory=str(out))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.slow
@needs_browser
def test_a_browser_without_network_shows_grid_benchmark_and_filters(address: str) -> None:
    faults: list[str] = []
    with launched() as browser:
        page = paged(browser)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("requestfailed", lambda request: faults.append(request.url))
        elsewhere: list[str] = []

        def served(route: Any) -> None:
            if route.request.url.startswith(address):
                route.continue_()
            else:
                elsewhere.append(route.request.url)
                route.abort()

        page.route("**/*", served)
        page.goto(f"{address}/report/index.html")
        link = page.locator("a[href^='../asv/index.html#item.']").first.get_attribute("href")
        page.goto(f"{address}/asv/index.html")
        page.wait_for_selector("#summarygrid-display .flot-base")
        assert page.locator("#summarygrid-display a").count() >= 1
        page.goto(f"{address}/asv/index.html#item.ByImplementation.track_item")
        page.wait_for_selector("#main-graph .flot-base")
        for choice in ("attic", "lab", "3.11", "3.14"):
            page.locator("#graphdisplay-navigation").get_by_text(choice, exact=True).wait_for()
        legend = page.locator("#main-graph .legendLabel")
        assert "python-3.14" in " ".join(legend.all_inner_texts())
        page.locator("#graphdisplay-navigation").get_by_text("3.14", exact=True).click()
        page.wait_for_function(
            "!document.querySelector('#main-graph').innerText.includes('python-3.14')"
        )
    assert link and not faults and not elsewhere
