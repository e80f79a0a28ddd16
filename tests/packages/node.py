"""Runs inside the chroot of node.sh: drives caasctl on a bare Debian and prints what came of it as JSON."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

KEY = Path("/srv/k8s/fingerprint").read_text().strip()
FOLDERS = ("/etc/apt/sources.list.d", "/etc/apt/keyrings", "/etc/apt/preferences.d")


def profile(**over: str) -> list[str]:
    """The command line's settings: the repository at /srv/k8s, by its key."""
    base = "packages.kubernetes"
    settings = {f"{base}.uri": "file:///srv/k8s", f"{base}.fingerprint": KEY, f"{base}.key": "/srv/k8s/Release.key"}
    settings |= {name.replace("__", "."): value for name, value in over.items()}
    return [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]


def caasctl(*argv: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "caasctl", *argv], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=900)  # fmt: skip
    return {"rc": done.returncode, "out": done.stdout, "err": done.stderr}


def init_node(*more: str, **over: str) -> dict[str, Any]:
    return caasctl("init-node", "--phase", "packages", *more, *profile(**over))


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def state() -> dict[str, Any]:
    """What dpkg has, what is held, what apt reads."""
    listed = run("dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Status}\n")
    return {
        "packages": {line.split()[0]: " ".join(line.split()[1:]) for line in listed.splitlines()},
        "held": sorted(run("apt-mark", "showhold").split()),
        "files": sorted(str(path) for folder in FOLDERS for path in Path(folder).iterdir()),
    }


def converge() -> dict[str, Any]:
    """A plan, a run, a second one, and back."""
    before = state()
    plan = init_node("--dry-run")
    planned = state()
    first, after = init_node("--yes"), state()
    second, undone = init_node("--yes"), caasctl("undo", "--yes")
    return {
        "before": before, "plan": plan, "planned": planned, "first": first, "after": after, "second": second,
        "undone": undone, "back": state(),
    }  # fmt: skip


def refused(**over: str) -> dict[str, Any]:
    before = state()
    return {
        "before": before,
        "plan": init_node("--dry-run", **over),
        "run": init_node("--yes", **over),
        "after": state(),
    }


def removal() -> dict[str, Any]:
    """Something of the user's stands in the way of the kubelet that the repository has."""
    run("apt-get", "-qq", "update")
    run("dpkg", "-i", "/srv/k8s/mine_1_all.deb")
    return refused()


def seen_before() -> dict[str, Any]:
    """Apt's lists are there already, and tell a dry run what a real one would install."""
    run("apt-get", "-qq", "update")
    return refused(kubernetes__version="v1.38.0")


def killed() -> dict[str, Any]:
    """apt and its dpkg die with their caasctl in the middle; the same command again finishes."""
    started = subprocess.Popen([sys.executable, "-m", "caasctl", "init-node", "--phase", "packages", "--yes", *profile()],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    until = time.monotonic() + 120
    while time.monotonic() < until and not _half():
        time.sleep(0.005)
    started.kill()
    for pid in _of("apt-get", "dpkg"):
        os.kill(pid, signal.SIGKILL)
    started.wait()
    half = _half()
    again = init_node("--yes")
    return {"half": half, "again": again, "after": state(), "third": init_node("--yes")}


def _half() -> bool:
    """Whether dpkg is in the middle: something is unpacked, and not configured."""
    try:
        text = "".join(
            path.read_text() for path in [Path("/var/lib/dpkg/status"), *Path("/var/lib/dpkg/updates").iterdir()]
        )
    except FileNotFoundError:  # dpkg writes its status anew meanwhile
        return False
    return any(f" {word}\n" in text for word in ("unpacked", "half-installed", "half-configured"))


def _of(*names: str) -> list[int]:
    found = []
    for path in Path("/proc").iterdir():
        try:
            name = (path / "comm").read_text().strip()
        except OSError:
            continue
        found += [int(path.name)] if path.name.isdigit() and name in names else []
    return found


def needed() -> dict[str, Any]:
    """What the user installs later needs a package that the run brought: undo leaves that, and what it needs itself."""
    before = state()
    first = init_node("--yes")
    run("dpkg", "-i", "/srv/k8s/mine_1_all.deb")
    return {"before": before, "first": first, "undone": caasctl("undo", "--yes"), "after": state()}


def cut_short() -> dict[str, Any]:
    """The power goes when an undo has done all, and before that is noted: it is done again, and its repository is gone by then."""
    before, first, undone = state(), init_node("--yes"), caasctl("undo", "--yes")
    (note,) = Path("/var/lib/caasctl/runs").glob("*/undone")
    note.unlink()
    return {"before": before, "first": first, "undone": undone, "again": caasctl("undo", "--yes"), "after": state()}


def unnoted() -> dict[str, Any]:
    """The power goes when apt has done all, and before that is noted; undo. Then as though apt had done nothing, and the user all."""
    before, first = state(), init_node("--yes")
    (runs,) = Path("/var/lib/caasctl/runs").iterdir()
    for note in runs.glob("*.made"):
        note.unlink()
    undone, back = caasctl("undo", "--yes"), state()
    (runs / "undone").unlink()
    run("apt-get", "-qq", "install", "-y", "--no-install-recommends", "containerd")
    theirs, plan, again = state(), caasctl("undo", "--dry-run"), caasctl("undo", "--yes")
    return {"before": before, "first": first, "undone": undone, "back": back, "theirs": theirs, "plan": plan, "again": again,
            "after": state()}  # fmt: skip


def full_and_back() -> dict[str, Any]:
    """As `full`, but taken back."""
    Path("/opt/cni").mkdir(parents=True)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(b"tmpfs", b"/opt/cni", b"tmpfs", 0, b"size=4k,nr_inodes=2") == 0, os.strerror(ctypes.get_errno())
    before, first, half = state(), init_node("--yes"), state()
    return {"before": before, "first": first, "half": half, "undone": caasctl("undo", "--yes"), "after": state()}


def there() -> dict[str, Any]:
    """A host that has all of it, from elsewhere: kubelet and its kin as programs of no package."""
    run("apt-get", "-qq", "update")
    run(
        "apt-get",
        "-qq",
        "install",
        "-y",
        "--no-install-recommends",
        "containerd",
        "mount",
        "iptables",
        "iproute2",
        "ethtool",
    )
    for name in ("kubelet", "kubeadm", "kubectl", "crictl"):
        path = Path("/usr/local/bin") / name
        path.write_text("#!/bin/sh\necho Kubernetes v1.36.4\n")
        path.chmod(0o755)
    Path("/opt/cni/bin").mkdir(parents=True)
    Path("/opt/cni/bin/loopback").touch()
    before = state()
    return {"before": before, "run": init_node("--yes"), "after": state()}


# Debian's daily upgrade, as far as others see it: apt's lists are locked, then dpkg.
UPGRADER = """#!/usr/bin/python3
import fcntl, os
os.makedirs("/var/lib/apt/lists", exist_ok=True)
for path in ("/var/lib/apt/lists/lock", "/var/lib/dpkg/lock-frontend"):
    with open(path, "w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        print("held", flush=True)
        input()
"""
HOOK = 'DPkg::Post-Invoke {"echo mode=$NEEDRESTART_MODE frontend=$DEBIAN_FRONTEND >>/hook";};'


def busy() -> dict[str, Any]:
    """The host upgrades itself at that moment; and what apt's hooks are told, needrestart's too."""
    script = Path("/usr/bin/unattended-upgrade")
    script.write_text(UPGRADER)
    script.chmod(0o755)
    Path("/etc/apt/apt.conf.d/99hook").write_text(HOOK)
    before = state()
    run = _beside_the_upgrader(0, "init-node", "--phase", "packages", "--yes", *profile())
    found = {"before": before, "run": run, "after": state(), "hook": Path("/hook").read_text()}
    return {**found, "undone": _beside_the_upgrader(1, "undo", "--yes"), "back": state()}


def given_up() -> dict[str, Any]:
    """Who waits for a lock presses Ctrl-C."""
    script = Path("/usr/bin/unattended-upgrade")
    script.write_text(UPGRADER)
    script.chmod(0o755)
    before = state()
    run = _beside_the_upgrader(0, "init-node", "--phase", "packages", "--yes", *profile(), waits=False)
    return {"before": before, "run": run, "after": state()}


def _beside_the_upgrader(past: int, *words: str, waits: bool = True) -> dict[str, Any]:
    """Caasctl beside it; each wait of caasctl's ends by its lock, or by Ctrl-C. past: of the upgrader's locks that it is through with."""
    upgrader = subprocess.Popen(
        ["/usr/bin/unattended-upgrade"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert upgrader.stdin
    assert upgrader.stdout
    said: list[str] = []

    def held() -> None:
        assert upgrader.stdout
        assert upgrader.stdout.readline() == "held\n"

    def let_go() -> None:
        assert upgrader.stdin
        upgrader.stdin.write("\n")
        upgrader.stdin.flush()

    held()
    for _ in range(past):
        let_go()
        held()
    argv = [sys.executable, "-m", "caasctl", *words]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stderr
        for line in started.stderr:
            if "lock" in line:
                said.append(line.strip())
                let_go() if waits else started.send_signal(signal.SIGINT)
        assert started.stdout
        out = started.stdout.read()
    upgrader.kill()
    upgrader.wait()
    return {"rc": started.returncode, "out": out, "waits": said}


def full() -> dict[str, Any]:
    """Dpkg finds no room where it unpacks; then there is."""
    Path("/opt/cni").mkdir(parents=True)
    libc = ctypes.CDLL(None, use_errno=True)  # the tree has no mount
    assert libc.mount(b"tmpfs", b"/opt/cni", b"tmpfs", 0, b"size=4k,nr_inodes=2") == 0, os.strerror(ctypes.get_errno())
    before, first = state(), init_node("--yes")
    assert libc.umount(b"/opt/cni") == 0, os.strerror(ctypes.get_errno())
    return {"before": before, "first": first, "again": init_node("--yes"), "after": state()}


def backports() -> dict[str, Any]:
    """A newer containerd in a suite that apt takes nothing from by itself; then it is asked for by its version; then it is pinned."""
    Path("/etc/apt/sources.list.d/backports.list").write_text("deb [trusted=yes] file:/srv/k8s/backports ./\n")
    plain, after = init_node("--yes"), state()
    undone = caasctl("undo", "--yes")
    named = init_node("--yes", packages__containerd__version="1.7.24")
    found = {"plain": plain, "after": after, "undone": undone, "named": named, "then": state()}
    caasctl("undo", "--yes")
    Path("/etc/apt/preferences.d/mine").write_text("Package: runc\nPin: version 9*\nPin-Priority: 990\n")
    return {**found, "plan": init_node("--dry-run"), "pinned": init_node("--yes"), "last": state()}


CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "converge": converge,
    "removal": removal,
    "killed": killed,
    "needed": needed,
    "cut-short": cut_short,
    "unnoted": unnoted,
    "full-and-back": full_and_back,
    "there": there,
    "backports": backports,
    "busy": busy,
    "given-up": given_up,
    "full": full,
    "unreached": lambda: refused(packages__kubernetes__uri="https://packages.invalid/deb/"),
    "no-release": lambda: refused(packages__kubernetes__uri="file:///srv/nothing"),
    "wrong-key": lambda: refused(packages__kubernetes__fingerprint=f"'{'AB' * 20}'"),
    "no-fingerprint": lambda: refused(packages__kubernetes__fingerprint='""'),
    "no-version": lambda: refused(kubernetes__version="v1.36.9"),
    "new-kubernetes": lambda: refused(kubernetes__version="v1.38.0"),
    "seen-before": seen_before,
    "off": lambda: refused(packages__install="off"),
}

if __name__ == "__main__":
    print(json.dumps(CASES[sys.argv[1]]()))
