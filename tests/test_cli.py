"""The command line as a user meets it: exit codes, stdout against stderr, errors with problem, cause and fix."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import caasctl
from caasctl import profile_load

HOSTS = Path(__file__).parent / "hosts"
SYSTEM_PYTHON = "/usr/bin/python3"
BARE = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TERM": "dumb", "COLUMNS": "80"}


def run(*argv: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "caasctl", *argv]
    return subprocess.run(command, capture_output=True, text=True, env=BARE, check=False, input=stdin, cwd="/")


def run_as_nobody(*argv: str) -> subprocess.CompletedProcess[str]:
    """With the system's Python, since the one that runs the tests may lie in a folder that only root can enter."""
    if os.geteuid() != 0 or not os.access(SYSTEM_PYTHON, os.X_OK):
        pytest.skip(f"needs root and {SYSTEM_PYTHON}")
    path = os.pathsep.join([str(Path(caasctl.__file__).parents[1]), sysconfig.get_path("purelib")])
    return subprocess.run(
        [SYSTEM_PYTHON, "-B", "-m", "caasctl", *argv],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=65534,
        group=65534,
        extra_groups=[],
        env={**BARE, "PYTHONPATH": path},
    )


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    folder = tmp_path / "bundle"
    (folder / "root/proc/sys/kernel").mkdir(parents=True)
    (folder / "root/proc/sys/kernel/hostname").write_text("node1\n")
    (folder / "manifest.json").write_text('{"schemaVersion": 1}')
    return str(folder)


def test_version_and_help() -> None:
    assert run("version").stdout.startswith("caasctl ")
    assert run("--help").returncode == 0
    assert "preflight" in run("--help").stdout


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["preflight", "--profile", "no-such"], "there is no profile named no-such"),
        (["preflight", "--profile", "/does/not/exist.yaml"], "/does/not/exist.yaml does not exist"),
        (["preflight", "--set", "rolle=x"], "unknown key rolle, did you mean role?"),
        (["preflight", "--check", "os.swp"], "os.swp"),
        (["preflight", "--facts", "/does/not/exist"], "cannot be read as a recorded host"),
        (["preflight", "--root", "/does/not/exist"], "is not a directory"),
        (["preflight", "--root", "/tmp", "--facts", "/tmp"], "exclude each other"),
        (["init-node", "--dry-run", "--phase", "bot"], "there is no phase bot"),
        (["init-node", "--facts", "/tmp"], "add --dry-run"),
        (["explain", "os.swp"], "os.swap"),
        (["schema", "nothing"], "there is no schema nothing"),
        pytest.param(["undo", "no-such-run"], "no-such-run", marks=pytest.mark.root),
    ],
)
def test_a_usage_error_says_problem_and_fix_on_stderr_and_exits_2(argv: list[str], said: str) -> None:
    done = run(*argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_waiver_for_a_check_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    waiver = "[{check: os.swop, reason: r, owner: o, expires: '2099-01-01'}]"
    done = run("preflight", "--set", f"waivers={waiver}", "--root", str(tmp_path))
    assert done.returncode == 2
    assert "spec.waivers[0].check" in done.stderr
    assert "did you mean os.swap?" in done.stderr


def test_an_invalid_profile_is_not_shown_as_if_it_were_one() -> None:
    done = run("profile", "show", "--set", "role=wroker")
    assert (done.returncode, done.stdout) == (2, "")


def test_what_typer_refuses_exits_2_too() -> None:
    for argv in (["nothing"], ["preflight", "--nothing"], ["preflight", "-o", "xml"]):
        assert run(*argv).returncode == 2


@pytest.mark.root
def test_changes_without_a_terminal_need_yes() -> None:
    done = run("init-node", stdin="")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert "--dry-run" in done.stderr


@pytest.mark.root
def test_changes_need_root_and_a_dry_run_does_not() -> None:
    assert "needs root" in run_as_nobody("init-node", "--yes").stderr
    done = run_as_nobody("init-node", "--dry-run", "-o", "json")
    assert done.returncode in (0, 1, 4, 6), done.stderr
    assert json.loads(done.stdout)["command"].startswith("init-node --dry-run")


def test_stdout_carries_the_data_only(bundle: str) -> None:
    done = run("preflight", "--facts", bundle, "-o", "json")
    report = json.loads(done.stdout)
    assert report["host"] == "node1"
    assert report["summary"]["exitCode"] == done.returncode
    assert done.stderr == ""


@pytest.mark.parametrize("fmt", ["text", "json", "yaml", "junit", "html"])
def test_every_format_comes_out(bundle: str, fmt: str) -> None:
    done = run("preflight", "--facts", bundle, "-o", fmt)
    assert done.returncode in (0, 1, 6), done.stderr
    assert "node1" in done.stdout


def test_a_reader_that_leaves_is_no_error(bundle: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m caasctl preflight --facts {bundle} -v | head -n 1"],
        capture_output=True,
        text=True,
        env=BARE,
        check=False,
    )
    assert done.stderr == ""


def test_a_host_is_recorded_and_replayed(tmp_path: Path) -> None:
    first, second = tmp_path / "a.tar.gz", tmp_path / "b"
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian"\n')
    assert run("facts", "--root", str(tree), "--record", str(first)).returncode == 0
    assert run("facts", "--facts", str(first), "--record", str(second)).returncode == 0
    live, replayed = (run("preflight", *a, "-o", "json") for a in (["--root", str(tree)], ["--facts", str(first)]))
    levels = [[(r["id"], r["subject"], r["level"]) for r in json.loads(d.stdout)["results"]] for d in (live, replayed)]
    assert levels[0] == levels[1]
    assert run("facts", "--record", str(first), "--root", str(tree)).returncode == 2


def test_every_check_is_explained_and_listed() -> None:
    from caasctl.checks import ALL_CHECKS as CHECKS

    listed = run("explain").stdout
    assert CHECKS
    for check in CHECKS:
        assert check.id in listed
        assert check.looks_at, f"{check.id} has no docstring"
        assert all((check.title, check.why, check.fix, check.source)), f"{check.id} lacks a part of its explanation"
    assert CHECKS[0].source.split()[0] in run("explain", CHECKS[0].id).stdout


def test_what_smoke_proves_is_explained_too() -> None:
    from caasctl.syntax.cluster.smoke import TITLES

    for name, title in TITLES.items():
        said = run("explain", name)
        assert said.returncode == 0
        assert said.stdout.startswith(f"{name}  {title}\n")


def test_a_check_that_a_message_sends_people_to_exists() -> None:
    from caasctl.checks import ALL_CHECKS as CHECKS

    top = Path(__file__).parents[1]
    texts = [*top.glob("src/**/*.py"), *top.glob("docs/**/*.md"), *top.glob("templates/*"), top / "README.md"]
    sent = {
        (path.name, word)
        for path in texts
        for word in re.findall(r"(?:--check|explain) ([a-z]+\.\w+)", path.read_text())
    }
    assert len(sent) > 5
    assert {word for _, word in sent} <= {check.id for check in CHECKS}, sent


def test_ids_are_unique_known_topics_and_name_only_what_exists() -> None:
    from caasctl.checks import ALL_CHECKS as CHECKS
    from caasctl.phases import ORDER

    ids = [check.id for check in CHECKS]
    topics = {"os", "cgroup", "boot", "iommu", "gpu", "cdi", "containerd", "kata", "network", "kubernetes", "cilium"}
    planned = {"host", "packages", "boot", "gpu", "kata", "containerd", "kubeadm", "cilium", "cluster"}
    assert len(ids) == len(set(ids))
    for check in CHECKS:
        assert check.topic in topics, check.id
        assert set(check.after) <= set(ids), check.id
        assert set(check.gates) | ({check.fixed_by} - {""}) <= planned, check.id
    assert [phase.id for phase in ORDER] == [
        p
        for p in ("host", "packages", "boot", "gpu", "kata", "containerd", "kubeadm", "cilium", "cluster")
        if p in {o.id for o in ORDER}
    ]


def test_profiles_phases_and_the_schema_are_shown(tmp_path: Path) -> None:
    assert run("profile", "list").stdout.split() == list(profile_load.shipped_names())
    path = tmp_path / "mine.yaml"
    path.write_text(run("profile", "show", "gpu-worker").stdout)
    assert run("profile", "check", str(path)).stdout == "profile gpu-worker is valid\n"
    assert json.loads(run("schema", "report").stdout)["type"] == "object"
    for phase in run("phases", "list").stdout.splitlines():
        assert "does not start while" in run("phases", "show", phase.split()[0]).stdout


def test_render_writes_below_its_directory_only_and_refuses_one_in_use(tmp_path: Path, bundle: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("x")
    assert run("render", "--out", str(out), "--facts", bundle).returncode == 2
    assert os.listdir(out) == ["mine"]


def test_a_phase_that_has_no_file_is_told_so(tmp_path: Path) -> None:
    """Without the fingerprint of its key a repository is not used, and has no file."""
    words = ("render", "--phase", "packages", "--facts", str(HOSTS / "debian12-plain-vm"))
    done = run(*words, "--out", str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (0, "")
    said = " ".join(done.stderr.split())
    assert "nothing was written: there is no file of caasctl's in packages" in said
    assert "caasctl init-node --dry-run --phase packages" in said
    assert "cause" in said
    told = run(*words, "--out", str(tmp_path / "some"), "--set", f"packages.kubernetes.fingerprint='{'DE15' * 10}'")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.splitlines()[-1].endswith(".sources")


@pytest.mark.root
def test_an_unreadable_profile_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / "p.yaml"
    path.write_text("x: 1")
    path.chmod(0o600)
    done = run_as_nobody("preflight", "--profile", str(path))
    assert done.returncode == 2
    assert "permission denied" in done.stderr


@pytest.mark.parametrize(("output", "first"), [("text", "caasctl "), ("json", "{")])
def test_a_reader_that_leaves_early_does_not_change_the_exit_code(bundle: str, output: str, first: str) -> None:
    command = [sys.executable, "-m", "caasctl", "preflight", "--facts", bundle, "--check", "os.supported", "-o", output]
    whole = run(*command[3:])
    there, here = os.pipe()
    os.close(there)
    with os.fdopen(here, "w") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, env=BARE, check=False, cwd="/")
    assert whole.stdout.startswith(first)
    assert (done.returncode, done.stderr) == (whole.returncode, "")
    assert whole.returncode == 6  # 1 would be typer's own answer


LISTS = (
    ("airgap", "list"), ("airgap", "list", "-o", "json"), ("gpu", "list"), ("gpu", "map", "-o", "json"), ("facts",),
    ("upgrade", "--dry-run", "--to", "v1.37.x"), ("upgrade", "--dry-run", "--to", "v1.37.x", "-o", "json"),
    ("explain",), ("profile", "show"), ("profile", "list"), ("phases", "list"), ("schema",), ("version",), ("--help",),
)  # fmt: skip


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_nobody_has_to_listen_to_a_list(words: tuple[str, ...]) -> None:
    recorded = ("--facts", str(HOSTS / "already-a-node")) if words[0] in ("airgap", "gpu", "facts", "upgrade") else ()
    whole = run(*words, *recorded)
    there, here = os.pipe()
    os.close(there)
    command = [sys.executable, "-m", "caasctl", *words, *recorded]
    with os.fdopen(here, "w") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, env=BARE, check=False, cwd="/")
    assert whole.stdout
    assert (done.returncode, done.stderr) == (whole.returncode, whole.stderr)
