"""A bare Debian for apt to install into, and a repository as Kubernetes has one: below .cache/apt-node.

`fetch()` gives a tree that mmdebstrap made, whose only source is a folder of Debian's own packages inside it: nothing in it needs a
network. `repository()` makes stand-ins of Kubernetes' packages, with the names and dependencies of the real ones, signed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.lab import debian
from tests.lab.debian import Unavailable

SUITE = "bookworm"
BASE = debian.CACHE / "apt-node" / SUITE
IN_BASE = ("python3", "gpgv", "ca-certificates")
FROM_DEBIAN = ("containerd", "runc", "mount", "iptables", "iproute2", "ethtool", "containernetworking-plugins")
VERSIONS = ("1.36.4", "1.36.1")
# As pkgs.k8s.io has them: name -> (version of 1.36.4, Depends, what it installs)
STANDINS = {
    "kubeadm": ("{}-1.1", "", "usr/bin/kubeadm"),
    "kubelet": ("{}-1.1", "iptables (>= 1.4.21), kubernetes-cni (>= 1.2.0), mount, util-linux", "usr/bin/kubelet"),
    "kubectl": ("{}-1.1", "", "usr/bin/kubectl"),
    "cri-tools": ("1.36.0-1.1", "", "usr/bin/crictl"),
    "kubernetes-cni": ("1.8.0-1.1", "", "opt/cni/bin/loopback"),
}
_DEADLINE_S = 900
_ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "HOME": "/root"}


def fetch() -> Path:
    """The tree; made where it is not complete. Raises Unavailable with the one reason."""
    debian.require("installing packages in a tree", "mmdebstrap", "dpkg-deb", "dpkg-scanpackages", "unshare", "gpg")
    with debian.alone("apt-node"):
        return _fetched(BASE / "tree")


def _fetched(tree: Path) -> Path:
    if not debian.is_there(BASE):
        shutil.rmtree(BASE, ignore_errors=True)
        BASE.mkdir(parents=True)
        bare(tree, IN_BASE)
        _folder_of_debian(tree)
        (BASE / "complete").write_text(SUITE)
    return tree


def bare(tree: Path, packages: tuple[str, ...]) -> None:
    """A tree of SUITE with apt and these. Raises Unavailable."""
    run("mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(packages)}", SUITE, str(tree), debian.mirror())


def _folder_of_debian(tree: Path) -> None:
    """The packages that tests install, with what they need, in the tree's own folder; its lists know nothing else."""
    download = ("apt-get", "-qq", "install", "--yes", "--download-only", "--no-install-recommends", *FROM_DEBIAN)
    shutil.copy("/etc/resolv.conf", tree / "etc/resolv.conf")
    run("chroot", str(tree), "apt-get", "-qq", "update")
    run("chroot", str(tree), *download)
    folder = tree / "srv/debian"
    folder.mkdir()
    for deb in (tree / "var/cache/apt/archives").glob("*.deb"):
        shutil.move(deb, folder)
    indices = folder / f"dists/{SUITE}/main/binary-{run('dpkg', '--print-architecture').strip()}"
    indices.mkdir(parents=True)
    (indices / "Packages").write_text(run("dpkg-scanpackages", "--multiversion", ".", cwd=folder))
    (tree / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:/srv/debian {SUITE} main\n")
    shutil.rmtree(tree / "var/lib/apt/lists")


def repository(folder: Path, *, versions: tuple[str, ...] = VERSIONS, extra: str = "") -> str:
    """A flat repository of stand-ins below the folder, signed by a key of its own; returns its fingerprint.

    extra: fields of kubelet's control file, such as a conflict.
    """
    for version in versions:
        for name, (number, depends, path) in STANDINS.items():
            package(folder, name, number.format(version), depends, path, extra if name == "kubelet" else "")
    return sign(folder)


def backports(folder: Path, versions: dict[str, str]) -> None:
    """A flat repository as Debian's backports are: apt takes of it only what is asked for. versions: of stand-ins, by name."""
    folder.mkdir()
    for name, version in versions.items():
        package(folder, name, version, "", f"usr/sbin/{name}")
    text = run("dpkg-scanpackages", "--multiversion", ".", cwd=folder)
    (folder / "Packages").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    (folder / "Release").write_text(
        "Origin: stand-in\nSuite: backports\nDate: Thu, 26 Nov 2026 00:00:00 UTC\nNotAutomatic: yes\nButAutomaticUpgrades: yes\n"
        f"SHA256:\n {digest} {len(text.encode())} Packages\n"
    )


def package(folder: Path, name: str, version: str, depends: str = "", path: str = "", extra: str = "") -> None:
    """A package that installs one program which says its version, and calls itself a stand-in."""
    root = folder / "build" / name
    shutil.rmtree(root, ignore_errors=True)
    (root / "DEBIAN").mkdir(parents=True)
    lines = [f"Package: {name}", f"Version: {version}", "Architecture: all", "Maintainer: nobody <nobody@example.org>",
             *([f"Depends: {depends}"] if depends else []), *([extra] if extra else []), "Description: stand-in"]  # fmt: skip
    (root / "DEBIAN/control").write_text("\n".join([*lines, ""]))
    if path:
        program = root / path
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\n# stand-in of {name}\necho Kubernetes v{version.partition('-')[0]}\n")
        program.chmod(0o755)
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(root), str(folder / f"{name}_{version}_all.deb"))
    shutil.rmtree(folder / "build")


def sign(folder: Path) -> str:
    """Packages, Release, InRelease and Release.key of all packages in the folder; returns the key's fingerprint."""
    (folder / "Packages").write_text(run("dpkg-scanpackages", "--multiversion", ".", cwd=folder))
    return signed(folder)


def signed(folder: Path) -> str:
    """The same of a folder that has its Packages."""
    data = (folder / "Packages").read_bytes()
    (folder / "Release").write_text(
        "Origin: stand-in\nLabel: stand-in\nDate: Thu, 26 Nov 2026 00:00:00 UTC\nAcquire-By-Hash: no\n"
        f"SHA256:\n {hashlib.sha256(data).hexdigest()} {len(data)} Packages\n"
    )
    (folder / "gpg").mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory() as short:
        # The agent's socket lies in this folder, and the kernel takes 108 characters of its path.
        home = Path(short) / "gpg"
        home.symlink_to(folder / "gpg")
        listed = _signed_with(home, folder)
    return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))


def _signed_with(home: Path, folder: Path) -> str:
    gpg = ("gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "")
    if not (folder / "Release.key").exists():
        run(*gpg, "--quick-generate-key", "stand-in", "rsa2048", "sign", "never")
        (folder / "Release.key").write_text(run(*gpg, "--armor", "--export"))
    (folder / "InRelease").unlink(missing_ok=True)
    run(*gpg, "--clearsign", "--output", str(folder / "InRelease"), str(folder / "Release"))
    (folder / "Release").unlink()
    listed = run(*gpg, "--with-colons", "--fingerprint")
    run("gpgconf", "--homedir", str(home), "--kill", "all")
    return listed


def run(*argv: str, cwd: Path | None = None) -> str:
    environment = _ENVIRONMENT | {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    try:
        done = subprocess.run(argv, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=_DEADLINE_S, check=False)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{argv[0]}: {error}") from error
    if done.returncode:
        raise Unavailable(f"{argv[0]}: {(done.stderr.strip() or done.stdout.strip() or 'failed').splitlines()[-1]}")
    return done.stdout


if __name__ == "__main__":
    try:
        print(fetch())
    except Unavailable as reason:
        sys.exit(f"a bare Debian is not to be had: {reason}")
