"""The HTML report in headless Chromium: laid out at every width, without a script, in the dark and on paper."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from tests.lab import chromium
from tests.lab.debian import Unavailable
from tests.report import sick

from caasctl.commands import Session
from caasctl.phases import ORDER
from caasctl.report.html import text
from caasctl.report.verdict import verdict

HOST = Path(__file__).resolve().parents[1] / "hosts/a10-hybrid-docker-containerd"
WIDTHS = (360, 768, 1280, 3840)
POLICY = re.compile(r"<meta http-equiv=[^>]+>")
MEASURE = """<script>
const root = document.documentElement, wide = [...document.querySelectorAll("body *")].filter(one => one.getBoundingClientRect().right > innerWidth + 1)
root.dataset.wide = Math.max(root.scrollWidth - innerWidth, 0) + " " + wide.slice(0, 3).map(one => one.tagName + "." + one.className).join(" ")
root.dataset.height = root.scrollHeight
root.dataset.hidden = [...document.querySelectorAll("details *")].filter(one => !one.checkVisibility({contentVisibilityAuto: true})).length
</script>"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    try:
        chromium.fetch()
    except Unavailable as reason:
        pytest.skip(str(reason))
    session = Session("gpu-single-node", ["network.podCIDR=10.254.0.0/16"], str(HOST))
    preflight = session.preflight((), strict=False)
    long = replace(sick.NO_ROUTE.finding, found="x" * 4000, subject="y" * 500)
    reports = {
        "preflight": preflight,
        "init-node": session.plan(ORDER)[1],
        "doctor": replace(
            sick.REPORT, pictures=preflight.pictures, findings=(*sick.REPORT.findings, replace(long, id="os.long"))
        ),
    }
    folder = tmp_path_factory.mktemp("pages")
    for name, report in reports.items():
        said = text(report)
        (folder / f"{name}.verdict").write_text(verdict(report))
        (folder / f"{name}.html").write_text(said)
        (folder / f"{name}-measured.html").write_text(POLICY.sub("", said).replace("</body>", f"{MEASURE}</body>"))
    return {path.stem: path for path in folder.glob("*.html")}


NAMES = ("preflight", "init-node", "doctor")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_wider_than_the_window(pages: dict[str, Path], name: str, width: int) -> None:
    seen = chromium.document(pages[f"{name}-measured"], width)
    assert re.findall(r'data-wide="([^"]*)"', seen) == ["0 "]
    (height,) = re.findall(r'data-height="(\d+)"', seen)
    assert 1000 < int(height) < 60_000


@pytest.mark.parametrize("name", NAMES)
def test_it_looks_the_same_without_scripts(pages: dict[str, Path], name: str, tmp_path: Path) -> None:
    """A sandboxed frame runs none, whatever the page says of itself; Chromium's own switch would end its screenshots too."""
    shots = [_framed(pages[name], tmp_path, allowed) for allowed in ("", "allow-scripts")]
    assert shots[0] == shots[1]


def test_a_frame_that_runs_scripts_is_told_from_one_that_runs_none(pages: dict[str, Path], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<body>before<script>document.body.textContent = 'after'</script>")
    with pytest.raises(AssertionError, match="Blocked script execution"):
        _framed(page, tmp_path, "")
    assert _framed(page, tmp_path, "allow-scripts")


def _framed(page: Path, folder: Path, allowed: str) -> bytes:
    frame = folder / "frame.html"
    frame.write_text(
        f'<style>* {{ margin: 0; border: 0; display: block }}</style><iframe sandbox="{allowed}" width=1280 height=3000 src="{page.as_uri()}">'
    )
    return chromium.picture(frame, folder / "shot.png", 1280, 3000)


@pytest.mark.parametrize("name", NAMES)
def test_its_browser_has_the_verdict_and_every_section(pages: dict[str, Path], name: str) -> None:
    seen = chromium.document(pages[name], 1280)
    assert pages[name].with_suffix(".verdict").read_text() in seen
    for part in (
        "s-networks",
        "s-gpus",
        "s-versions",
        "s-findings",
        *(("s-causes", "s-timeline") if name == "doctor" else ("s-act",)),
    ):
        assert f'<h2 id="{part}">' in seen


def test_a_script_that_got_into_it_would_not_run(pages: dict[str, Path], tmp_path: Path) -> None:
    page = tmp_path / "script.html"
    page.write_text(pages["preflight"].read_text().replace("</body>", f"{MEASURE}</body>"))
    with pytest.raises(AssertionError, match="Content Security Policy"):
        chromium.document(page, 1280)


@pytest.mark.parametrize("name", NAMES)
def test_light_and_dark_are_two_pictures_of_the_size_of_the_window(
    pages: dict[str, Path], name: str, tmp_path: Path
) -> None:
    light = chromium.picture(pages[name], tmp_path / "light.png", 1280, 900)
    dark = chromium.picture(pages[name], tmp_path / "dark.png", 1280, 900, chromium.DARK)
    assert [struct.unpack(">II", shot[16:24]) for shot in (light, dark)] == [(1280, 900)] * 2
    assert min(len(light), len(dark)) > 30_000  # a page that stayed empty is a tenth of that
    assert light != dark


def test_paper_shows_what_is_folded(pages: dict[str, Path], tmp_path: Path) -> None:
    said = pages["doctor-measured"].read_text()
    (tmp_path / "paper.html").write_text(said.replace("@media print", "@media all"))
    assert re.findall(r'data-hidden="(\d+)"', chromium.document(tmp_path / "paper.html", 1280)) == ["0"]
    assert re.findall(r'data-hidden="(\d+)"', chromium.document(pages["doctor-measured"], 1280)) != ["0"]
    assert chromium.paper(pages["doctor"], tmp_path / "doctor.pdf").startswith(b"%PDF")
