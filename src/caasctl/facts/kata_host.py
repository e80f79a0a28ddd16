"""What Kata needs of the host beside its own files: KVM, the vhost devices, shared memory."""

from __future__ import annotations

import re

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import FileKind, Probe, Reader
from caasctl.syntax import kata_release
from caasctl.syntax.debian.stanzas import stanzas

_OPEN_KVM = ("dd", "if=/dev/kvm", "of=/dev/null", "count=0", "status=none")  # opens it and reads nothing
_SIZE = re.compile(r"(?:^|,)size=(?P<number>\d+)(?P<unit>[kmg%]?)", re.IGNORECASE)
_TRANSPORTS = (("vmw_vsock_vmci_transport",), ("vmw_vsock_virtio_transport", "hv_sock"))
_DPKG = "/var/lib/dpkg"
_DPKG_WORDS = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "ppc64el": "ppc64le",
    "i386": "i686",
}  # where uname has another word
_LOADERS = {  # of glibc, for each processor that Kata and Kubernetes have releases for
    "/lib64/ld-linux-x86-64.so.2": "x86_64",
    "/lib/ld-linux-aarch64.so.1": "aarch64",
    "/lib64/ld64.so.2": "ppc64le",
    "/lib/ld64.so.1": "s390x",
}
_KIB = {"": 1 / 1024, "k": 1, "m": 1024, "g": 1024 * 1024}


@dataclass(frozen=True)
class Kvm:
    """device: /dev/kvm is a character device. module: kvm_intel, kvm_amd, another
    kvm_*, kvm or "". nested: its parameter, "" where none.

    guest: this machine is itself a virtual one (a hypervisor bit in /proc/cpuinfo).
    """

    device: bool
    module: str = ""
    nested: str = ""
    guest: bool = False


@dataclass(frozen=True)
class KvmOpens:
    """What opening /dev/kvm says: "" where it opens, else the kernel's words ("Permission denied")."""

    error: str = ""


@dataclass(frozen=True)
class Vhost:
    """Which devices are there, and transports of vsock that are loaded: VMware's, and those of this machine as a guest."""

    vsock: bool
    net: bool
    vmware: tuple[str, ...] = ()
    of_guest: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shm:
    """The tmpfs at /dev/shm. size_kib: its limit, 0 where nothing is mounted. memory_kib: MemTotal.

    hugetlb_kib: the part of MemTotal that is reserved as hugepages, which no tmpfs can use.
    """

    size_kib: int
    memory_kib: int
    hugetlb_kib: int = 0


@dataclass(frozen=True)
class Machine:
    """name: the processor's, as uname has it (x86_64)."""

    name: str

    @property
    def word(self) -> str:
        """As Kata's releases name it (amd64)."""
        return kata_release.WORDS.get(self.name, self.name)


@dataclass(frozen=True)
class Zstd:
    """path: of the program that opens tarballs of .zst, "" where there is none."""

    path: str = ""


def parse_shm_size(mounts: str, memory_kib: int) -> int:
    """KiB of the last tmpfs on /dev/shm in /proc/mounts; without a size the kernel's default, half of the memory."""
    size = 0
    for line in mounts.splitlines():
        field = line.split()
        if len(field) > 3 and field[1] == "/dev/shm" and field[2] == "tmpfs":  # noqa: S108, PLR2004 - a mount point
            said = _SIZE.search(field[3])
            if said is None:
                size = memory_kib // 2
            elif said["unit"] == "%":
                size = memory_kib * int(said["number"]) // 100
            else:
                size = int(int(said["number"]) * _KIB[said["unit"].lower()])
    return size


def parse_meminfo(text: str) -> dict[str, int]:
    """KiB of each row of /proc/meminfo that is in kB."""
    return {name: int(number) for name, number in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}


def parse_open_error(stderr: str) -> str:
    """The kernel's words at the end of dd's message."""
    lines = stderr.strip().splitlines()
    return lines[0].rpartition(": ")[2] if lines else "failed without a word"


def _char(host: Reader, path: str) -> bool:
    """Whether a character device is there. Raises Unreadable in a tree or a recording that has no /dev to tell by."""
    found = host.stat(path)
    if found is None and host.stat("/dev") is None:
        raise Unreadable(path, "cannot be seen, there is no /dev")
    return found is not None and found.kind is FileKind.CHAR


def read_kvm(host: Reader) -> Kvm:
    names = [name for name in host.list("/sys/module") or () if name == "kvm" or name.startswith("kvm_")]
    module = min(names, key=lambda name: (name not in ("kvm_intel", "kvm_amd"), name == "kvm"), default="")
    nested = (host.read(f"/sys/module/{module}/parameters/nested") or "").strip() if module else ""
    flags = re.search(r"^flags\s*:(.*)$", host.read("/proc/cpuinfo") or "", re.MULTILINE)
    return Kvm(_char(host, "/dev/kvm"), module, nested, bool(flags and "hypervisor" in flags.group(1).split()))


def read_kvm_opens(host: Reader) -> KvmOpens:
    if not _char(host, "/dev/kvm"):
        return KvmOpens("No such file or directory")
    done = host.query(*_OPEN_KVM)
    if done.missing:
        raise Unreadable("/dev/kvm", "there is no dd to open it with")
    return KvmOpens("" if done.ok else parse_open_error(done.stderr))


def read_vhost(host: Reader) -> Vhost:
    vmware, of_guest = (tuple(name for name in names if host.stat(f"/sys/module/{name}")) for names in _TRANSPORTS)
    return Vhost(_char(host, "/dev/vhost-vsock"), _char(host, "/dev/vhost-net"), vmware, of_guest)


def read_shm(host: Reader) -> Shm:
    memory = parse_meminfo(host.read("/proc/meminfo") or "")
    mounts = host.read("/proc/mounts")
    if mounts is None or "MemTotal" not in memory:
        raise Unreadable("/proc/mounts and /proc/meminfo", "do not tell the size of /dev/shm")
    size = parse_shm_size(mounts, memory["MemTotal"])
    return Shm(size, memory["MemTotal"], memory.get("Hugetlb", 0))


def read_machine(host: Reader) -> Machine:
    """The kernel tells since 6.1; before, and under another name, uname does; of a disk, what is installed on it."""
    name = (host.read("/proc/sys/kernel/arch") or "").strip() or _by_uname(host) or _by_disk(host)
    if not name:
        raise Unreadable("the processor's architecture", "uname says nothing, and neither dpkg nor a loader in /lib and /lib64 tells it")  # fmt: skip
    return Machine(name)


def _by_uname(host: Reader) -> str:
    """What it says; "" of a tree, too, for which no command speaks."""
    try:
        return host.query("uname", "-m").stdout.strip()
    except Unreadable:
        return ""


def of_dpkg(word: str) -> Machine:
    """By the architecture that dpkg has."""
    return Machine(_DPKG_WORDS.get(word, word))


def _by_disk(host: Reader) -> str:
    """Dpkg's own package is of the architecture that is native; /var/lib/dpkg/arch has that first. "" where loaders are of two."""
    own = next((one for one in stanzas(host.read(f"{_DPKG}/status") or "") if one.get("package") == "dpkg"), {})
    word = own.get("architecture") or (host.read(f"{_DPKG}/arch") or "").partition("\n")[0].strip()
    loaders = [name for path, name in _LOADERS.items() if host.stat(path)]
    return of_dpkg(word).name or (loaders[0] if len(loaders) == 1 else "")


def read_zstd(host: Reader) -> Zstd:
    places = (f"/{folder}/zstd" for folder in ("usr/local/bin", "usr/bin", "bin"))
    return Zstd(next((path for path in places if host.stat(path)), ""))


PROBES: tuple[Probe, ...] = (
    Probe(Machine, read_machine),
    Probe(Zstd, read_zstd),
    Probe(Kvm, read_kvm),
    Probe(KvmOpens, read_kvm_opens),
    Probe(Vhost, read_vhost),
    Probe(Shm, read_shm),
)
