"""What the host is: distribution, kernel, processor, memory, init system, container or not."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import FileKind, Probe, Reader
from caasctl.syntax import kernel, os_release

INITIAL_PID_NAMESPACE = "pid:[4026531836]"  # the kernel numbers its first one so (PROC_PID_INIT_INO)
_CGROUP_HINTS = {"/docker": "docker", "/kubepods": "kubernetes", "/libpod": "podman", "/lxc": "lxc"}


@dataclass(frozen=True)
class OsRelease:
    """/etc/os-release. id: debian. id_like: the distributions it descends from. version_id: 12 or 22.04, "" if rolling.

    codename: bookworm, as repositories name it, "" for none. base: (ubuntu, noble) of a derivative that says so.
    """

    id: str
    id_like: tuple[str, ...]
    version_id: str
    pretty: str
    codename: str = ""
    base: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Kernel:
    """The running kernel. release: as `uname -r`. version: its first two numbers."""

    release: str
    version: tuple[int, int]


@dataclass(frozen=True)
class KernelConfig:
    """options: name without CONFIG_ -> y, m or a value; what is not set is not there. source: the file that told."""

    options: Mapping[str, str]
    source: str


@dataclass(frozen=True)
class Cpu:
    """/proc/cpuinfo. vendor: GenuineIntel, AuthenticAMD or "". count: logical CPUs. flags: of the first CPU."""

    vendor: str
    count: int
    flags: frozenset[str]


@dataclass(frozen=True)
class Memory:
    """/proc/meminfo, KiB. hugetlb_kib: reserved as hugepages of any size, used or not, lost to everything else."""

    total_kib: int
    available_kib: int
    hugetlb_kib: int = 0


@dataclass(frozen=True)
class Modules:
    """Kernel modules, names with `_`. available: those that the running kernel's modules.dep names.

    folder: where the running kernel's modules are, "" where they are not on disk.
    """

    loaded: frozenset[str]
    builtin: frozenset[str]
    available: frozenset[str]
    folder: str = ""


@dataclass(frozen=True)
class Systemd:
    """running: systemd is process 1. version: 252, 0 where it is not known. default_hierarchy: unified, hybrid, legacy, ""."""

    running: bool
    version: int
    default_hierarchy: str


@dataclass(frozen=True)
class Glibc:
    """The C library's version, as (2, 36); (0, 0) where the host has another C library. source: who told."""

    version: tuple[int, int]
    source: str = ""


@dataclass(frozen=True)
class Container:
    """kind: docker, lxc, podman, ...; "" on a machine of its own, a virtual one too. evidence: what told."""

    kind: str
    evidence: str = ""


@dataclass(frozen=True)
class Privileges:
    """root: whoever looked had effective user id 0."""

    root: bool


def parse_os_release(text: str) -> OsRelease:
    values = os_release.fields(text)
    identity = values.get("ID", "").lower()
    if not identity:
        raise Unreadable("/etc/os-release", "names no ID")
    likes, codename = tuple(values.get("ID_LIKE", "").lower().split()), values.get("VERSION_CODENAME", "")
    version, pretty = values.get("VERSION_ID", ""), values.get("PRETTY_NAME", identity)
    return OsRelease(identity, likes, version, pretty, codename, os_release.base(values))


def parse_release(text: str) -> Kernel:
    found = re.match(r"(\d+)\.(\d+)", text)
    if not found:
        raise Unreadable("/proc/sys/kernel/osrelease", f"is no kernel release: {text.strip()[:40]!r}")
    return Kernel(text.strip(), (int(found[1]), int(found[2])))


def parse_cpuinfo(text: str) -> Cpu:
    vendor = re.search(r"^vendor_id\s*:\s*(\S+)", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features|features)\s*:\s*(.*)$", text, re.MULTILINE)
    count = len(re.findall(r"^processor\s*\d*\s*:", text, re.MULTILINE))
    if not count:
        raise Unreadable("/proc/cpuinfo", "names no processor")
    return Cpu(vendor[1] if vendor else "", count, frozenset(flags[1].split() if flags else ()))


def parse_meminfo(text: str) -> Memory:
    sizes = {name: int(size) for name, size in re.findall(r"^(\w+):\s+(\d+)", text, re.MULTILINE)}
    if "MemTotal" not in sizes:
        raise Unreadable("/proc/meminfo", "has no MemTotal")
    available = sizes.get("MemAvailable", sizes.get("MemFree", 0))
    return Memory(sizes["MemTotal"], available, sizes.get("Hugetlb", 0))


def parse_systemctl_version(text: str) -> tuple[int, str]:
    """Version and default hierarchy of `systemctl --version`."""
    version = re.match(r"systemd (\d+)", text)
    hierarchy = re.search(r"default-hierarchy=(\w+)", text)
    return int(version[1]) if version else 0, hierarchy[1] if hierarchy else ""


def parse_glibc(text: str) -> tuple[int, int]:
    """(2, 36) of `glibc 2.36`, `2.36-9+deb12u9` or `libc-2.31.so`; (0, 0) where there is no such number."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _read_os_release(host: Reader) -> OsRelease:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        text = host.read(path)
        if text is not None:
            return parse_os_release(text)
    raise Unreadable("/etc/os-release", "does not exist")


def _read_kernel(host: Reader) -> Kernel:
    return parse_release(_text(host, "/proc/sys/kernel/osrelease"))


def _read_kernel_config(host: Reader) -> KernelConfig:
    release = _read_kernel(host).release
    tried: list[str] = []
    for path in ("/proc/config.gz", f"/boot/config-{release}", f"/usr/lib/modules/{release}/config",
                 f"/lib/modules/{release}/config", f"/usr/lib/ostree-boot/config-{release}"):  # fmt: skip
        try:
            text = _config_text(host, path)
        except Unreadable as unreadable:
            tried.append(str(unreadable))
            continue
        if text:
            return KernelConfig(kernel.config_options(text), path)
    raise Unreadable("kernel configuration", "; ".join(tried) or f"no /proc/config.gz, no /boot/config-{release}")


def _config_text(host: Reader, path: str) -> str | None:
    if not path.endswith(".gz"):
        return host.read(path)
    data = host.read_bytes(path)
    try:
        return None if data is None else gzip.decompress(data).decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable(path, f"is no gzip file: {error}") from error


def _read_modules(host: Reader) -> Modules:
    release = _read_kernel(host).release
    folders = (f"/usr/lib/modules/{release}", f"/lib/modules/{release}")
    folder = next((path for path in folders if host.list(path) is not None), "")
    loaded = kernel.modules_loaded(host.read("/proc/modules") or "")
    builtin = frozenset(host.list("/sys/module") or ()) - loaded
    listed = host.read(f"{folder}/modules.builtin") if folder else None
    builtin |= kernel.modules_in(listed) if listed is not None else _built_in(host)
    return Modules(loaded, builtin, kernel.modules_in(host.read(f"{folder}/modules.dep") or ""), folder)


def _built_in(host: Reader) -> frozenset[str]:
    """For a kernel without modules.builtin: what its configuration builds in, nothing where that is not to be had."""
    try:
        return kernel.built_in(_read_kernel_config(host).options)
    except Unreadable:
        return frozenset()


def _read_systemd(host: Reader) -> Systemd:
    booted, first = host.stat("/run/systemd/system"), host.read("/proc/1/comm")
    if booted is None and first is None:
        raise Unreadable("/proc/1/comm", "does not exist: no process 1 to ask about")
    running = booted is not None and booted.kind is FileKind.DIR and (first or "init").strip() in ("systemd", "init")
    try:
        said = host.query("systemctl", "--version").stdout
    except Unreadable:  # a tree or a recording without it; version 0 says so
        said = ""
    return Systemd(running, *parse_systemctl_version(said))


def _read_glibc(host: Reader) -> Glibc:
    status = host.read("/var/lib/dpkg/status")
    stanza = re.search(r"^Package: libc6\n(?:\S.*\n| .*\n)*?Version: (\S+)", status or "", re.MULTILINE)
    if stanza:
        return Glibc(parse_glibc(stanza[1]), "/var/lib/dpkg/status")
    for path in ("/lib64/libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6"):
        target = host.readlink(path) or ""
        if parse_glibc(target) > (0, 0):
            return Glibc(parse_glibc(target), path)
    said = host.query("getconf", "GNU_LIBC_VERSION")
    return Glibc(parse_glibc(said.stdout) if said.ok else (0, 0), "getconf GNU_LIBC_VERSION")


def _read_container(host: Reader) -> Container:
    """The kernel's own threads tell a machine, whatever files say: images become root file systems of virtual machines."""
    namespace, second = host.readlink("/proc/self/ns/pid"), host.read("/proc/2/comm")
    if namespace == INITIAL_PID_NAMESPACE or (second or "").strip() == "kthreadd":
        return Container("")
    told = (host.read("/run/systemd/container") or "").strip()
    if told:
        return Container(told, "/run/systemd/container")
    environment = _quietly(host, "/proc/1/environ")
    declared = re.search(r"(?:^|\0)container=([^\0]+)", environment)
    if declared:
        return Container(declared[1], "/proc/1/environ")
    mark, where = _container_mark(host)
    if not mark and not namespace and second is None:
        raise Unreadable("/proc/self/ns/pid", "does not exist, nor does another sign of a container or a machine")
    return Container(mark or "container", where or "/proc/self/ns/pid")


def _container_mark(host: Reader) -> tuple[str, str]:
    for path, kind in (("/run/.containerenv", "podman"), ("/.dockerenv", "docker")):
        if host.stat(path) is not None:
            return kind, path
    cgroup = _quietly(host, "/proc/1/cgroup")
    return next(((kind, "/proc/1/cgroup") for hint, kind in _CGROUP_HINTS.items() if hint in cgroup), ("", ""))


def _quietly(host: Reader, path: str) -> str:
    """The text of a file that is one hint among several: what cannot be read hints at nothing."""
    try:
        return host.read(path) or ""
    except Unreadable:
        return ""


def _read_privileges(host: Reader) -> Privileges:
    found = re.search(r"^Uid:\s+\d+\s+(\d+)", _text(host, "/proc/self/status"), re.MULTILINE)
    if not found:
        raise Unreadable("/proc/self/status", "has no Uid line")
    return Privileges(int(found[1]) == 0)


def _text(host: Reader, path: str) -> str:
    text = host.read(path)
    if text is None:
        raise Unreadable(path, "does not exist")
    return text


PROBES = (
    Probe(OsRelease, _read_os_release),
    Probe(Kernel, _read_kernel),
    Probe(KernelConfig, _read_kernel_config),
    Probe(Cpu, lambda host: parse_cpuinfo(_text(host, "/proc/cpuinfo"))),
    Probe(Memory, lambda host: parse_meminfo(_text(host, "/proc/meminfo"))),
    Probe(Modules, _read_modules),
    Probe(Systemd, _read_systemd),
    Probe(Glibc, _read_glibc),
    Probe(Container, _read_container),
    Probe(Privileges, _read_privileges),
)
