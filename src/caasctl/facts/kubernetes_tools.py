"""Programs around Kubernetes: where they are, which version, from which package, and whether the package is held."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import FileKind, Probe, Reader

_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/opt/bin", "/snap/bin")
# What each package provides; the first that is installed tells the version.
_PACKAGES = {
    "kubeadm": ("kubeadm",),
    "kubectl": ("kubectl",),
    "kubelet": ("kubelet",),
    "helm": ("helm",),
    "crictl": ("cri-tools",),
    "cilium": ("cilium-cli",),
    "docker": ("docker-ce", "docker.io", "moby-engine"),
    "runc": ("runc", "moby-runc"),
}
_ASK = {
    "kubeadm": ("version", "-o", "short"),
    "kubectl": ("version", "--client", "-o", "yaml"),
    "kubelet": ("--version",),
    "helm": ("version", "--short"),
    "crictl": ("--version",),
    "cilium": ("version", "--client"),
    "docker": ("--version",),
    "runc": ("--version",),
}
NAMES = frozenset(name for names in _PACKAGES.values() for name in names) | {
    "containerd",
    "containerd.io",
    "kubernetes-cni",
}
_STANZA = re.compile(
    rf"^Package: (?P<name>{'|'.join(re.escape(name) for name in sorted(NAMES, key=len, reverse=True))})\n"
    r"(?P<body>(?:\S.*\n| .*\n|\S.*\Z| .*\Z)*)", re.MULTILINE
)  # fmt: skip
_RPM = ("rpm", "-qa", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\\n", *sorted(NAMES))
_RPM_FOLDERS = ("/var/lib/rpm", "/usr/lib/sysimage/rpm")
_REPOSITORIES = "/etc/yum.repos.d"
# kubernetes: cmd/kubeadm/app/preflight/checks_linux.go looks for these, some of them in older versions only
_HOST_TOOLS = ("ip", "iptables", "mount", "nsenter", "losetup", "ebtables", "ethtool", "socat", "tc", "conntrack")
_LOCKS = ("/etc/dnf/plugins/versionlock.list", "/etc/yum/pluginconf.d/versionlock.list")
_SCRIPT_BYTES = 4096  # a program is larger
_NUMBER = re.compile(r"v?(\d+\.\d+(?:\.\d+)?(?:-(?:alpha|beta|rc)[.\d]*)?)")


@dataclass(frozen=True)
class Packages:
    """Packages of containers and Kubernetes. versions: name -> the package's version. held: kept back from upgrades.

    manager: dpkg, rpm or "".
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    held: frozenset[str] = frozenset()
    manager: str = ""


@dataclass(frozen=True)
class Tools:
    """versions: program -> version without v ("1.36.4"), "" where it does not say. paths: the first one found on PATH."""

    versions: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HostTools:
    """Programs of the distribution that Kubernetes calls or once called. paths: the first one found on PATH, by name."""

    paths: Mapping[str, str] = field(default_factory=dict)


def upstream(version: str) -> str:
    """1.36.4 of a package's version such as 5:1.36.4-1.1~ubuntu or 1.36.4-150500.1.1."""
    found = _NUMBER.match(version.partition(":")[2] or version)
    return found.group(1) if found else ""


def parse_dpkg_status(text: str) -> Packages:
    """The packages of ours that are installed, and which are on hold."""
    versions: dict[str, str] = {}
    held = set()
    for stanza in _STANZA.finditer(text):
        fields = dict(re.findall(r"^(Status|Version): (.*)$", stanza["body"], re.MULTILINE))
        status = fields.get("Status", "").split()
        if status[2:] != ["installed"] or "Version" not in fields:
            continue
        versions[stanza["name"]] = fields["Version"]
        if status[0] == "hold":
            held.add(stanza["name"])
    return Packages(versions, frozenset(held), "dpkg")


def parse_rpm(text: str, locks: str = "", repositories: str = "") -> Packages:
    """Lines `name version-release` of rpm's query; locks: versionlock.list, whose lines begin `name-` or `epoch:name-`.

    repositories: the .repo files; what one of them excludes is held, as Kubernetes' own instructions have it.
    """
    versions = dict(line.split(None, 1) for line in text.splitlines() if len(line.split()) > 1)
    excluded = (
        " ".join(re.findall(r"^\s*exclude(?:pkgs)?\s*=(.*)$", repositories, re.MULTILINE)).replace(",", " ").split()
    )
    locked = {name for name in versions if re.search(rf"^(?:\d+:)?{re.escape(name)}-\d", locks, re.MULTILINE)}
    return Packages(versions, frozenset(locked | (versions.keys() & set(excluded))), "rpm")


def parse_version(text: str) -> str:
    """The first number with dots in what a program says of itself: a line that says gitVersion goes before."""
    told = re.search(r"gitVersion:\s*\"?v?([\d.]+[^\s\"]*)", text)
    found = _NUMBER.search(text)
    return told.group(1) if told else found.group(1) if found else ""


def read_packages(host: Reader) -> Packages:
    status = host.read("/var/lib/dpkg/status")
    if status is not None:
        return parse_dpkg_status(status)
    if not any(host.stat(folder) for folder in _RPM_FOLDERS):
        return Packages()
    done = host.query(*_RPM)
    if not done.ok:
        raise Unreadable("rpm -qa", (done.stderr.strip().splitlines() or ["failed"])[-1][:120])
    repositories = (name for name in host.list(_REPOSITORIES) or () if name.endswith(".repo"))
    return parse_rpm(
        done.stdout,
        "\n".join(host.read(path) or "" for path in _LOCKS),
        "\n".join(host.read(f"{_REPOSITORIES}/{name}") or "" for name in repositories),
    )


def _path(host: Reader, program: str) -> str:
    for folder in _FOLDERS:
        found = host.stat(f"{folder}/{program}")
        if found and found.kind is FileKind.FILE:
            return f"{folder}/{program}"
    return ""


def _of_package(packages: Packages, program: str) -> str:
    """Google's cloud CLI has a kubectl package too, numbered like the CLI (528.0.0): no word on Kubernetes' version."""
    names = (name for name in _PACKAGES[program] if name in packages.versions)
    told = next((upstream(packages.versions[name]) for name in names), "")
    return "" if program.startswith("kube") and not told.startswith("1.") else told


def _is_podman(host: Reader, path: str) -> bool:
    """Package podman-docker brings a `docker` that is a link to podman, or a script that runs it."""
    target = host.readlink(path)
    there = host.stat(path)
    if "podman" in (target or "") or there is None or there.size >= _SCRIPT_BYTES:
        return "podman" in (target or "")
    try:
        return "podman" in (host.read(path) or "")
    except Unreadable:  # a program, in a recording that has no text of it
        return False


def _ask(host: Reader, path: str, program: str) -> str:
    """A program that does not say, or cannot be asked here, is there without a version."""
    try:
        return parse_version(host.query(path, *_ASK[program]).stdout)
    except Unreadable:
        return ""


def read_tools(host: Reader) -> Tools:
    """A package speaks for what lies in /usr/bin; what lies before it on PATH is asked itself."""
    packages = read_packages(host)
    paths = {program: path for program in _PACKAGES if (path := _path(host, program))}
    if "docker" in paths and _is_podman(host, paths["docker"]):
        del paths["docker"]
    versions = {}
    for program, path in paths.items():
        packaged = path.startswith(("/usr/bin/", "/usr/sbin/"))
        told = _of_package(packages, program) if packaged else ""
        versions[program] = told or _ask(host, path, program)
    return Tools(versions, paths)


def read_host_tools(host: Reader) -> HostTools:
    return HostTools({name: path for name in _HOST_TOOLS if (path := _path(host, name))})


PROBES: tuple[Probe, ...] = (
    Probe(Packages, read_packages),
    Probe(Tools, read_tools),
    Probe(HostTools, read_host_tools),
)
