"""Disks of Debian nodes with GRUB, systemd, a real containerd and caasctl's wheel, below .cache/vm; built without booting."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import tree
from tests.lab import debian, kubectl

TOP = Path(__file__).parents[2]
HERE = TOP / "tests/vm"
CACHE = debian.CACHE / "vm"
KEY = CACHE / "id_ed25519"
SUITES = ("bookworm", "trixie", "sid")  # containerd 1.6, 1.7 and 2.1
PACKAGES = {
    "mmdebstrap": "mmdebstrap", "qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", "sfdisk": "fdisk", "losetup": "mount",
    "partx": "util-linux", "mkfs.ext4": "e2fsprogs", "ssh": "openssh-client", "ssh-keygen": "openssh-client", "unshare": "util-linux",
}  # fmt: skip
LAB = ("grpcio",)  # what the node's own tests need
BUILDS_S = 600
INCLUDED = (
    "systemd-sysv", "systemd-timesyncd", "udev", "dbus", "iproute2", "python3", "python3-venv", "python3-yaml",
    "kmod", "pciutils", "containerd", "runc", "procps", "iptables", "ethtool", "socat", "conntrack", "grub2-common", "grub-pc",
    "openssh-server", "busybox-static", "ebtables", "nftables",
)  # fmt: skip
_SOURCES = ("src", "templates", "profiles", "schemas", "pyproject.toml", "tests/standins", "tests/vm/image.py", "tests/vm/disk.sh", "tests/vm/node",
            "tests/cluster/tree.py")  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A node to be built. legacy_cgroups: systemd mounts them hybrid (bookworm only). iommu: whether its kernel turns it on.

    kernel: the flavour; Debian's cloud-amd64 knows no IOMMU of AMD's and no GPU.
    """

    suite: str
    legacy_cgroups: bool = False
    iommu: bool = True
    kernel: str = "cloud-amd64"

    @property
    def name(self) -> str:
        flavour = "" if self.kernel == "cloud-amd64" else f"-{self.kernel}"
        return self.suite + flavour + "-hybrid" * self.legacy_cgroups + "-no-iommu" * (not self.iommu)

    @property
    def packages(self) -> tuple[str, ...]:
        return (f"linux-image-{self.kernel}", *INCLUDED)

    @property
    def arguments(self) -> str:
        """What is behind the kernel in every entry of the menu."""
        words = ["console=tty0", "console=ttyS0,115200"]
        words += ["systemd.unified_cgroup_hierarchy=0"] * self.legacy_cgroups
        return " ".join(words + ["intel_iommu=off"] * (not self.iommu))


def disk(kind: Kind) -> Path:
    """A bootable raw disk, never written to: machines lay an overlay over it. Raises Unavailable."""
    debian.require("building a node", *PACKAGES)
    CACHE.mkdir(parents=True, exist_ok=True)
    with _alone(kind.suite):
        return _disk(kind)


@contextmanager
def _alone(what: str) -> Iterator[None]:
    with (CACHE / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _disk(kind: Kind) -> Path:
    made, stamp = CACHE / f"{kind.name}.raw", CACHE / f"{kind.name}.made-of"
    wanted = _digest(kind)
    if made.exists() and stamp.exists() and stamp.read_text() == wanted:
        return made
    stamp.unlink(missing_ok=True)
    root, material = _root(kind), CACHE / f"material-{kind.name}"
    shutil.rmtree(material, ignore_errors=True)
    with _alone("shared"):  # by all suites
        _ssh_key()
        binary = kubectl.fetch() / "usr/bin/kubectl"
        shutil.copytree(wheels(_wheel(), _python(root)), material / "wheels")
    shutil.copytree(HERE / "node", material, dirs_exist_ok=True)
    shutil.copytree(TOP / "tests/standins", material / "tests/standins")
    shutil.copytree(TOP / "schemas", material / "schemas")
    shutil.copy(binary, material / "kubectl")
    shutil.copy(KEY.with_suffix(".pub"), material / "authorized_keys")
    tree.units(material)
    (material / "arguments").write_text(kind.arguments)
    _run("unshare", "-m", "sh", str(HERE / "disk.sh"), str(made), str(root), str(material))
    shutil.rmtree(material)
    stamp.write_text(wanted)
    return made


def wheels(wheel: Path, python: str) -> Path:
    """A folder with what the wheel needs for a Python such as 3.13, as `pip download` collects it."""
    folder = CACHE / f"wheels-{python}"
    for old in folder.glob("caasctl-*"):  # pip keeps what has the same name
        old.unlink()
    _run(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--python-version", python,
         "--dest", str(folder), str(wheel), *LAB)  # fmt: skip
    return folder


def _root(kind: Kind) -> Path:
    """Debian's packages of a suite, as a tar file."""
    named = f"root-{kind.suite}-{kind.kernel}"
    tar = CACHE / f"{named}-{hashlib.sha256(repr(kind.packages).encode()).hexdigest()[:12]}.tar"
    if not tar.exists():
        for old in CACHE.glob(f"{named}-*"):
            old.unlink()
        part = tar.with_suffix(".part.tar")
        options = debian.setting(
            "Acquire::Check-Valid-Until"
        )  # a mirror that stands still for a while is for the machine to judge
        _run("mmdebstrap", "--quiet", "--mode=root", "--variant=important", f"--include={','.join(kind.packages)}",
             *(f"--aptopt={line}" for line in options), kind.suite, str(part), debian.mirror())  # fmt: skip
        part.rename(tar)
    return tar


def _python(root: Path) -> str:
    """The version of a tar file's Python, as 3.13."""
    listed = subprocess.run(("tar", "-tf", str(root)), capture_output=True, text=True, check=True).stdout
    found: list[str] = re.findall(r"^\./usr/bin/python(3\.\d+)$", listed, re.MULTILINE)
    return found[0]


def _wheel() -> Path:
    folder = CACHE / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(TOP))
    return next(folder.glob("*.whl"))


def _ssh_key() -> None:
    if not KEY.exists():
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(KEY))


def _digest(kind: Kind) -> str:
    """What a disk is made of: a change of any of it makes a new one."""
    found = hashlib.sha256(f"{kind} {INCLUDED}".encode())
    for path in _files():
        found.update(f"{path.relative_to(TOP)}\0".encode() + path.read_bytes())
    return found.hexdigest()


def _files() -> Iterator[Path]:
    for name in _SOURCES:
        place = TOP / name
        inside = sorted(place.rglob("*")) if place.is_dir() else [place]
        yield from (path for path in inside if path.is_file() and "__pycache__" not in path.parts)


def _run(*argv: str, cwd: Path | None = None) -> None:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(argv, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=BUILDS_S, check=False)  # fmt: skip
    if done.returncode:
        raise debian.Unavailable(
            f"{' '.join(argv[:4])}: {done.stdout.strip()[-800:] or f'exit status {done.returncode}'}"
        )


if __name__ == "__main__":
    print(*sorted({package for program, package in PACKAGES.items() if not shutil.which(program)}))
