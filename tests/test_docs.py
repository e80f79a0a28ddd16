"""What the documents say is what the program does."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import pytest
from docs.pages import checks

from caasctl import planning, profile_load
from caasctl.bundle import BundleHost
from caasctl.doctor.rules import Rules
from caasctl.facts import ownership
from caasctl.model import Check, Exit
from caasctl.phases import ORDER

TOP = Path(__file__).parents[1]
PAGES = sorted([*TOP.glob("*.md"), *TOP.glob("docs/**/*.md")])
EXAMPLE = Check("os.example", "All is well", lambda _facts, _profile: (), (), "It breaks", "Mend it", "a book")


def table_cells(page: str, heading: str) -> list[str]:
    """The first cells of the rows of the table below a heading."""
    section = page.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [row.split("|")[1].strip(" `") for row in section.splitlines() if row.startswith("|")][2:]


def test_the_pages_of_checks_have_all_of_a_check() -> None:
    page = checks.of_topic("os", [EXAMPLE], Rules((), {"os.cause": ("os.example",), "os.example": ("os.effect",)}))
    wanted = ("## os.example", "It breaks", "Mend it", "a book", "`os.cause`", "`os.effect`", '<a id="os.example">')
    assert "| [`os.example`](reference/checks/os.md#osexample) | All is well | you |" in checks.index([EXAMPLE])
    assert all(said in page for said in wanted)


def test_the_readme_lists_every_exit_code() -> None:
    listed = table_cells((TOP / "README.md").read_text(), "Exit codes")
    assert [int(code) for code in listed] == [int(code) for code in Exit]


def test_the_readme_lists_every_phase_in_order() -> None:
    assert table_cells((TOP / "README.md").read_text(), "Phases") == [phase.id for phase in ORDER]


def covers(cell: str, path: str) -> bool:
    """Whether a cell of the table of files names a path, by itself, by a pattern or by a folder."""
    named = [one for one in re.findall(r"`([^`]+)`", cell) if one.startswith("/")]
    return any(fnmatch.fnmatchcase(path, one) or path.startswith(f"{one}/") for one in named)


def files_by_phase() -> dict[str, str]:
    section = (TOP / "README.md").read_text().split("| phase | files |\n", 1)[1].split("\n\n", 1)[0]
    return dict(re.findall(r"^\| `?(\w+)`? \| (.*) \|$", section, re.MULTILINE))


RICH = ("proxy={http: 'http://me:hunter22@proxy:3128'}", f"packages.kubernetes.fingerprint='{'DE15' * 10}'", "boot.iommu=required",
        "containerd.registries={docker.io: {mirrors: ['https://mirror.example']}}",
        f"packages.containerd={{from: tarball, tarball: {{source: /srv/containerd.tar.gz, sha256: '{'0f' * 32}'}}}}")  # fmt: skip


@pytest.mark.parametrize(
    "host", ["debian12-plain-vm", "a10-hybrid-docker-containerd", "rhel9-bls", "epyc-debian13-bare"]
)
def test_the_readme_names_every_file_that_a_phase_writes(host: str) -> None:
    table = files_by_phase()
    profile = profile_load.load("gpu-single-node", RICH)
    bundle = BundleHost(str(TOP / "tests/hosts" / host))
    rendered = {phase.id: planning.render(bundle, profile, (phase,))[0] for phase in ORDER}
    unnamed = [path for phase, files in rendered.items() for path in files if not covers(table[phase], path)]
    assert unnamed == []


def test_the_readme_names_every_file_that_reset_knows_as_caasctl_s() -> None:
    cells = " ".join(files_by_phase().values())
    assert [path for path in ownership.FILES if not covers(cells, path)] == []


def test_a_file_that_the_table_lacks_is_seen() -> None:
    assert covers("`/etc/a` and `/etc/b-*.conf`", "/etc/b-1.conf")
    assert covers("`/etc/a`", "/etc/a/b")
    assert not covers("`/etc/a`", "/etc/ab")


HEAD = "apiVersion: caasctl.io/v1alpha1\nkind: NodeProfile\nmetadata: {name: rack-7}\nextends: single-node\n"


def test_the_example_profiles_of_the_readme_are_valid(tmp_path: Path) -> None:
    """A part of one, which begins at `spec`, gets a head."""
    examples = re.findall(r"```yaml\n(.*?)```", (TOP / "README.md").read_text(), re.DOTALL)
    assert len(examples) > 1
    for example in examples:
        text = example.replace('fingerprint: "..."', f'fingerprint: "{"A" * 40}"').replace(
            'sha256: "..."', f'sha256: "{"a" * 64}"'
        )
        (tmp_path / "example.yaml").write_text(HEAD + text if text.startswith("spec:") else text)
        assert profile_load.load(str(tmp_path / "example.yaml")).metadata.name == "rack-7"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", sorted(TOP.glob("docs/adr/*.md")), ids=lambda page: page.stem)
def test_a_decision_record_has_its_parts_and_fits_a_page(page: Path) -> None:
    text = page.read_text()
    assert re.match(rf"# {int(page.stem[:4])}\. ", text)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert len(text.splitlines()) <= 60
