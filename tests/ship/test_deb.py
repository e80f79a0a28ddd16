"""The Debian package, by real apt in bookworm and trixie: installed, used, removed and purged without a rest."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import pytest
from tests.lab.chroots import SUITES, Root, fetch
from tests.lab.debian import Unavailable

pytestmark = pytest.mark.root
DEB = "/root/caasctl.deb"
# Where apt and dpkg keep what they did; a package's own files are elsewhere.
_THEIRS = re.compile(
    r"/(root|dev|run|proc|tmp|var/(lib/(dpkg|apt|systemd)|cache/(apt|man|debconf|ldconfig)|log))(/|$)|/etc/ld\.so\.cache$|/__pycache__(/|$)"
)
ODD = "dpkg -L caasctl | xargs -d '\\n' stat -c '%U:%G %A %n' | grep -vE '^root:root .....-..-'"
COMPLETE = """
. /usr/share/bash-completion/bash_completion
_completion_loader caasctl || [ $? = 124 ]
complete -p caasctl
COMP_WORDS=(caasctl {words}); COMP_CWORD={at}; _caasctl_completion caasctl; echo "${{COMPREPLY[@]}}"
"""


def root(suite: str, folder: Path) -> Root:
    try:
        return Root(fetch(suite), folder)
    except Unavailable as reason:
        pytest.skip(f"no {suite}: {reason}")


@pytest.fixture(scope="module", params=SUITES)
def host(request: pytest.FixtureRequest, built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Root:
    """A tree of the suite into which apt installed the package, without a network."""
    made = root(request.param, tmp_path_factory.mktemp(request.param))
    made.put({DEB: built[".deb"]})
    made.sh("apt-get", "install", "--yes", DEB)
    return made


def test_it_starts_and_nothing_of_the_python_beside_it_counts(host: Root) -> None:
    assert host.sh("caasctl", "--version").startswith("caasctl ")
    host.put({"/root/bad/yaml.py": Path("/dev/null")})
    assert "kind: NodeProfile" in host.sh(
        "caasctl", "profile", "show", "gpu-worker", PYTHONPATH="/root/bad", PYTHONSAFEPATH=""
    )


def test_it_was_compiled_and_a_user_can_start_it(host: Root) -> None:
    """Otherwise each start of a user who may not write there would take seconds."""
    compiled = host.sh("sh", "-c", "find /usr/lib/caasctl -name '*.pyc' | wc -l")
    sources = host.sh("sh", "-c", "find /usr/lib/caasctl -name '*.py' | wc -l")
    assert int(compiled) == int(sources) > 400
    assert host.sh("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "caasctl", "--version")


def test_it_judges_the_tree_that_it_is_in(host: Root) -> None:
    done = host.run("caasctl", "preflight")
    assert done.returncode == 1
    assert "Not ready:" in done.stdout
    assert "Traceback" not in done.stderr


def test_its_manual_is_a_page_that_man_shows(host: Root) -> None:
    shown = host.run("man", "--warnings", "-l", "/usr/share/man/man8/caasctl.8.gz", MANWIDTH="80")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "--auto-reboot" in shown.stdout
    assert "EXIT STATUS" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert "caasctl (8)" in host.sh("sh", "-c", "mandb -q; whatis caasctl")


def test_its_documents_are_where_debian_has_them_and_a_page_s_neighbours_are_there(host: Root) -> None:
    """For a host without a way out to the project's pages."""
    place = "/usr/share/doc/caasctl"
    listed = host.sh("dpkg", "-L", "caasctl").splitlines()
    assert {f"{place}/{name}" for name in ("README.md", "copyright", "changelog.gz", "changelog.Debian.gz")} <= {
        *listed
    }
    assert any(name.startswith(f"{place}/examples/ansible/roles/caasctl/") for name in listed)
    pages = [name for name in listed if name.startswith(f"{place}/docs/") and name.endswith(".md")]
    assert f"{place}/docs/reference/phases.md" in pages
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+\.md)[^)]*\)", host.sh("cat", page)):
            assert posixpath.normpath(f"{posixpath.dirname(page)}/{target}") in listed, (page, target)
    assert "## Unreleased" in host.sh("zcat", f"{place}/changelog.gz")


@pytest.mark.parametrize(("words", "at", "found"), [
    ("pre", 1, "preflight"), ("init-node --auto", 2, "--auto-reboot"), ("preflight -o j", 3, "json junit"), ("profile ch", 2, "check"),
])  # fmt: skip
def test_bash_completes_a_line(host: Root, words: str, at: int, found: str) -> None:
    loaded, completed = host.sh("bash", "-c", COMPLETE.format(words=words, at=at)).splitlines()
    assert loaded.endswith("_caasctl_completion caasctl")
    assert completed.split() == found.split()


def test_its_files_are_root_s_and_nobody_else_can_write_them(host: Root) -> None:
    """dpkg's own list, so that it is the package that is looked at and not what this test's tree is."""
    assert host.run("sh", "-c", ODD).stdout == ""
    assert host.sh("dpkg", "--verify", "caasctl") == ""


def test_installed_again_it_is_as_it_was(host: Root) -> None:
    host.sh("dpkg", "-i", DEB)
    assert host.sh("caasctl", "--version").startswith("caasctl ")


def test_another_python_gets_it_compiled_anew(host: Root) -> None:
    """As the packages of Python do when the default version changes."""
    host.sh(
        "sh",
        "-c",
        "rm -rf /usr/lib/caasctl/caasctl/__pycache__; touch /usr/lib/caasctl/__pycache__x; rm /usr/lib/caasctl/__pycache__x",
    )
    host.sh("/usr/share/python3/runtime.d/caasctl.rtupdate", "rtupdate", "python3.10", "python3.11")
    assert host.sh("sh", "-c", "ls /usr/lib/caasctl/caasctl/__pycache__ | grep -c engine").strip() == "1"


def test_removed_and_purged_there_is_no_rest(built: dict[str, Path], tmp_path: Path) -> None:
    """A run of root's has left bytecode below its folder, which dpkg knows nothing of."""
    made = root("bookworm", tmp_path)
    made.put({DEB: built[".deb"]})
    listed = ("find", "/", "-xdev", "!", "-path", "/proc/*")
    before = {*made.sh(*listed).splitlines()}
    made.sh("apt-get", "install", "--yes", DEB)
    made.sh("sh", "-c", "caasctl --version; cd /usr/lib/caasctl && python3 -c 'import rich.console'")
    made.sh("sh", "-c", "echo '# edited' >>/usr/lib/caasctl/caasctl/model.py; chmod g+w /usr/bin/caasctl")
    assert "model.py" in made.run("dpkg", "--verify", "caasctl").stdout  # what the tests above look at can fail
    assert made.run("sh", "-c", ODD).stdout.endswith("/usr/bin/caasctl\n")
    during = {*made.sh(*listed).splitlines()}
    assert [path for path in during - before if path.startswith("/usr/lib/caasctl/")]
    made.sh("apt-get", "remove", "--yes", "caasctl")
    assert made.run("caasctl", "--version").returncode == 127
    made.run("dpkg", "--purge", "caasctl")
    left = {path for path in {*made.sh(*listed).splitlines()} - before if not _THEIRS.match(path)}
    assert left == set()
    assert made.run("dpkg", "-s", "caasctl").returncode == 1


def test_lintian_has_nothing_to_say(built: dict[str, Path], tmp_path: Path) -> None:
    made = root("trixie", tmp_path)
    made.put({DEB: built[".deb"]})
    done = made.run("lintian", "--fail-on", "error,warning,info", "--display-info", "--allow-root", DEB)
    assert (done.returncode, [line for line in done.stdout.splitlines() if not line.startswith("N:")]) == (0, [])
    unused = made.run("lintian", "--allow-root", "--tags", "mismatched-override,unused-override", DEB)
    assert unused.stdout == ""


@pytest.mark.parametrize(("argv", "found"), [
    (("fish", "-c", "complete -C 'caasctl pre'"), "preflight\t"),
    (("zsh", "-fc", "autoload -Uz compinit; compinit -u; print ${_comps[caasctl]}; _TYPER_COMPLETE_ARGS='caasctl pre' _CAASCTL_COMPLETE=complete_zsh caasctl"), "_caasctl\n_arguments"),
], ids=["fish", "zsh"])  # fmt: skip
def test_other_shells_complete_a_line(host: Root, argv: tuple[str, ...], found: str) -> None:
    if host.run("sh", "-c", f"command -v {argv[0]}").returncode:
        pytest.skip(f"no {argv[0]} in this tree")
    assert host.sh(*argv).startswith(found)
