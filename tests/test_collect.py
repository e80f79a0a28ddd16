"""caasctl-collect.sh: fresh, and what it writes under dash and busybox is a recording that gives the findings of the tree itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from docs import collect
from tests.lab import busybox, debian

from caasctl import engine, profile_load, shipped
from caasctl.bundle import BundleHost
from caasctl.host import LiveHost
from caasctl.model import Level
from caasctl.protocol import FileKind, Reader

HOSTS = Path(__file__).resolve().parent / "hosts"
SCRIPT = collect.TARGET
SHELLS = ("dash", "busybox")
SECRET = "hunter2-and-3"
TOKEN = "0123456789abcdef"
PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIFake\n-----END EC PRIVATE KEY-----\n"


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, dict[str, str]]]:
    """shell -> the program and its surroundings: busybox with its own applets and nothing else."""
    found = {"dash": ("/bin/dash", {"PATH": "/usr/bin:/bin"})}
    try:
        box = busybox.fetch()
    except debian.Unavailable:
        return found
    folder = tmp_path_factory.mktemp("busybox")
    for applet in subprocess.run([box, "--list"], capture_output=True, text=True, check=True).stdout.split():
        (folder / applet).symlink_to(box)
    return {**found, "busybox": (str(folder / "sh"), {"PATH": str(folder)})}


def run(
    programs: dict[str, tuple[str, dict[str, str]]], shell: str, at: Path, *argv: str, **more: str
) -> subprocess.CompletedProcess[str]:
    if shell not in programs or not os.path.exists(programs[shell][0]):
        pytest.skip(f"no {shell}")
    program, around = programs[shell]
    env = {**around, "TMPDIR": str(at), **more}
    return subprocess.run([program, str(SCRIPT), *argv], env=env, cwd=at, capture_output=True, text=True, check=False)


def test_the_script_is_fresh() -> None:
    assert collect.text(collect.recorded()) == SCRIPT.read_text(), (
        "run: PYTHONPATH=src:. .venv/bin/python docs/collect.py"
    )


def test_the_script_ships_and_is_printed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "caasctl", "facts", "--collector"], capture_output=True, text=True, check=True
    )
    assert done.stdout == SCRIPT.read_text() == shipped.text("collect", SCRIPT.name)


def tree(path: Path) -> Path:
    """A host's tree, with what is hard to write down."""
    root = path / "tree"
    shutil.copytree(HOSTS / "epyc-debian13-bare/root", root, symlinks=True)
    for name, text in {
        "etc/containerd/config.toml": f'version = 2\n[x.auth]\npassword = "{SECRET}"\n',
        'etc/sysctl.d/99-ünï "q" \\b.conf': "vm.swappiness = 1\n",
        "etc/kubernetes/admin.conf": f"users:\n- user:\n    client-key-data: {'TFMw' * 20}\n    token: {SECRET}\n",
        "etc/profile.d/x.sh": f"export API_TOKEN={SECRET}\nkubeadm join --token abcdef.{TOKEN}\nHTTP_PROXY=http://u:{SECRET}@p:1\n{PEM}",
        "etc/kubernetes/pki/ca.key": PEM,
        "home/me/.kube/config": f"password: {SECRET}\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    os.mkfifo(root / "etc/sysctl.d/50-pipe.conf")
    (root / "etc/hosts").unlink()
    (root / "etc/hosts").mkdir()
    (root / "etc/crictl.yaml").symlink_to("nowhere")
    (root / "etc/containerd/config.toml").chmod(0o640)
    return root


def findings(host: Reader) -> list[tuple[str, ...]]:
    """Of what files tell: a command that a tree has not is in no recording of it either, in other words."""
    found = engine.examine(engine.collect(host), profile_load.load())
    return sorted(
        (one.level.value, one.id, one.subject, one.found if one.level is not Level.UNKNOWN else "") for one in found
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_a_collected_tree_gives_the_findings_of_the_tree(
    programs: dict[str, tuple[str, dict[str, str]]], shell: str, tmp_path: Path
) -> None:
    root = tree(tmp_path)
    done = run(programs, shell, tmp_path, "c.tar.gz", CAASCTL_ROOT=str(root))
    assert done.returncode == 0, done.stderr
    assert "caasctl doctor --facts c.tar.gz" in done.stderr
    assert "--record CLEAN.tar.gz" in done.stderr
    assert (tmp_path / "c.tar.gz").stat().st_mode & 0o777 == 0o600
    host = BundleHost(str(tmp_path / "c.tar.gz"))
    assert findings(host) == findings(LiveHost(str(root)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.tar.gz", "tree"]


@pytest.mark.parametrize("shell", SHELLS)
def test_what_it_copies_what_it_notes_and_what_it_hides(
    programs: dict[str, tuple[str, dict[str, str]]], shell: str, tmp_path: Path
) -> None:
    root = tree(tmp_path)
    assert run(programs, shell, tmp_path, "c.tar.gz", CAASCTL_ROOT=str(root)).returncode == 0
    with tarfile.open(tmp_path / "c.tar.gz") as archive:
        files = {one.name: (archive.extractfile(one) or sys.stdin.buffer).read() for one in archive if one.isreg()}
    assert not [name for name, data in files.items() if SECRET.encode() in data or TOKEN.encode() in data]
    assert not [
        name for name, data in files.items() if b"MHcCAQEE" in data or name.endswith(".key") or b"TFMwTFMw" in data
    ]
    manifest = json.loads(files["manifest.json"])
    assert manifest["unread"]["read /etc/hosts"] == "is a directory"
    assert manifest["unread"]["read /etc/sysctl.d/50-pipe.conf"] == "is no file"
    assert '99-ünï "q" \\b.conf' in manifest["listings"]["/etc/sysctl.d"]
    assert files['root/etc/sysctl.d/99-ünï "q" \\b.conf'] == b"vm.swappiness = 1\n"
    host, live = BundleHost(str(tmp_path / "c.tar.gz")), LiveHost(str(root))
    asked = [question.split(" ", 1) for question in manifest["stats"]]
    for kind, path in asked:
        told, there = (one.stat(path, follow=kind == "stat") for one in (host, live))
        assert told
        assert there
        assert (told.kind, told.mode, told.uid, told.gid) == (there.kind, there.mode, there.uid, there.gid), path
    assert {path for kind, path in asked if host.stat(path, follow=kind == "stat").kind is FileKind.FILE}  # type: ignore[union-attr]
    assert all(live.readlink(path) == aim for path, aim in manifest["links"].items())
    assert host.read("/proc/sys/kernel/hostname") == live.read("/proc/sys/kernel/hostname")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_live_host_answers_with_commands_in_any_bytes(
    programs: dict[str, tuple[str, dict[str, str]]], shell: str, tmp_path: Path
) -> None:
    """This machine, of which only one program says something strange."""
    if shell not in programs:
        pytest.skip(f"no {shell}")
    (tmp_path / "bin").mkdir()
    said = tmp_path / "bin/nft"
    said.write_text(
        "#!/bin/sh\nprintf 'a\"b\\\\c\\tx\\001\\377\\303\\251\\360\\237\\230\\200\\000z\\n'; echo password=\""
        + SECRET
        + '"; echo oops >&2; exit 3\n'
    )
    said.chmod(0o755)
    path = f"{tmp_path}/bin:{programs[shell][1]['PATH']}"
    done = run(programs, shell, tmp_path, "c.tar.gz", PATH=path)
    assert done.returncode == 0, done.stderr
    host = BundleHost(str(tmp_path / "c.tar.gz"))
    told = host.query("nft", "list", "chains")
    assert (told.rc, told.stderr, told.missing) == (3, "oops\n", False)
    assert told.stdout == 'a"b\\c\tx\x01\ufffdé😀z\npassword="(hidden)"\n'
    assert host.read("/proc/cmdline") == LiveHost().read("/proc/cmdline")


@pytest.mark.parametrize("shell", SHELLS)
def test_it_replaces_nothing_and_says_what_it_lacks(
    programs: dict[str, tuple[str, dict[str, str]]], shell: str, tmp_path: Path
) -> None:
    (tmp_path / "there.tar.gz").write_text("mine")
    done = run(programs, shell, tmp_path, "there.tar.gz", CAASCTL_ROOT="/nonexistent")
    assert (done.returncode, (tmp_path / "there.tar.gz").read_text()) == (3, "mine")
    assert all(word in done.stderr for word in ("already there", "cause:", "fix:"))


def test_it_says_what_it_lacks(programs: dict[str, tuple[str, dict[str, str]]], tmp_path: Path) -> None:
    """Not of busybox: it has its applets in itself."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("cat", "sed", "tr", "ls", "od", "tar"):
        (bare / name).symlink_to(shutil.which(name) or name)
    done = run(programs, "dash", tmp_path, "new.tar.gz", CAASCTL_ROOT="/nonexistent", PATH=str(bare))
    assert done.returncode == 3
    assert "there is no awk" in done.stderr
    assert not (tmp_path / "new.tar.gz").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_without_gzip_it_is_a_plain_archive(
    programs: dict[str, tuple[str, dict[str, str]]], shell: str, tmp_path: Path
) -> None:
    if shell not in programs:
        pytest.skip(f"no {shell}")
    bare = tmp_path / "bare"
    bare.mkdir()
    folders = programs[shell][1]["PATH"].split(":")
    for name in ("cat", "sed", "tr", "ls", "od", "tar", "awk", "mktemp", "mkdir", "rm", "wc", "date", "dd", "readlink"):
        (bare / name).symlink_to(shutil.which(name, path=":".join(folders)) or name)
    (tmp_path / "tree/proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "tree/proc/sys/kernel/hostname").write_text("node1\n")
    done = run(programs, shell, tmp_path, "c.tar.gz", CAASCTL_ROOT=str(tmp_path / "tree"), PATH=str(bare))
    assert done.returncode == 0, done.stderr
    assert BundleHost(str(tmp_path / "c.tar.gz")).read("/proc/sys/kernel/hostname") == "node1\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_collected_host_is_cleaned_by_caasctl(
    programs: dict[str, tuple[str, dict[str, str]]], shell: str, tmp_path: Path
) -> None:
    """The way the script names: pseudonyms, and the scan."""
    root = tree(tmp_path)
    assert run(programs, shell, tmp_path, "c.tar.gz", CAASCTL_ROOT=str(root)).returncode == 0
    argv = [
        sys.executable,
        "-m",
        "caasctl",
        "facts",
        "--facts",
        str(tmp_path / "c.tar.gz"),
        "--record",
        str(tmp_path / "d.tar.gz"),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
