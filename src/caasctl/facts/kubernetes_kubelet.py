"""How the kubelet is started: the flags in its unit, drop-ins and environment files, and how its service stands."""

from __future__ import annotations

import re
from collections.abc import Iterator

from caasctl.frozen import dataclass
from caasctl.host import unmasked
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

KUBEADM_FLAGS = "/var/lib/kubelet/kubeadm-flags.env"
_UNIT = "kubelet.service"
# systemd.unit(5): a file in the first of these hides one of the same name in the others
_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")
_ENVIRONMENT = (KUBEADM_FLAGS, "/etc/default/kubelet", "/etc/sysconfig/kubelet")
SHOW = ("systemctl", "show", "-p", "LoadState,ActiveState,SubState,NRestarts,UnitFileState", _UNIT)


@dataclass(frozen=True)
class KubeletFlags:
    """flags: (file, flag without `--` and value, `-` for `_`) in the order in which systemd reads the files."""

    flags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class KubeletService:
    """Words of systemd: load loaded, not-found, masked ...; active and sub as `activating (auto-restart)`; enabled its
    UnitFileState. restarts: since it was last started by hand or at boot.
    """

    load: str = "not-found"
    active: str = ""
    sub: str = ""
    restarts: int = 0
    enabled: str = ""

    @property
    def crashing(self) -> bool:
        return self.active == "failed" or self.sub == "auto-restart"


def parse_unit(text: str) -> Iterator[tuple[str, str]]:
    """(ExecStart or Environment, value) of a unit's lines, continued ones joined; an empty ExecStart takes back those before."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and key in ("ExecStart", "Environment"):
            yield key, value.strip()


def parse_flags(text: str) -> tuple[str, ...]:
    """`name` of each --name or --name=value in a text; the kubelet takes `_` in a name for `-`."""
    words = re.findall(r"(?:^|[\s\"'=])--([A-Za-z][\w.-]*)", text)
    return tuple(word.replace("_", "-") for word in words)


def parse_show(text: str) -> KubeletService:
    """Of `systemctl show`. Raises Unreadable."""
    told = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if "LoadState" not in told:
        raise Unreadable(" ".join(SHOW), "did not say how the kubelet's service stands")
    restarts = told.get("NRestarts", "")
    return KubeletService(
        told["LoadState"],
        told.get("ActiveState", ""),
        told.get("SubState", ""),
        int(restarts) if restarts.isdigit() else 0,
        told.get("UnitFileState", ""),
    )


def _unit_files(host: Reader) -> Iterator[str]:
    """The unit and its drop-ins, as systemd orders them."""
    unit = next((f"{folder}/{_UNIT}" for folder in _FOLDERS if host.stat(f"{folder}/{_UNIT}", follow=False)), None)
    if unit:
        yield unit
    drop_ins: dict[str, str] = {}
    for folder in _FOLDERS:
        for name in host.list(f"{folder}/{_UNIT}.d") or ():
            if name.endswith(".conf"):
                drop_ins.setdefault(name, f"{folder}/{_UNIT}.d/{name}")
    yield from (drop_ins[name] for name in sorted(drop_ins))


def read_flags(host: Reader) -> KubeletFlags:
    found: list[tuple[str, str, str]] = []
    for path in _unit_files(host):
        for key, value in parse_unit(unmasked(host, path)):
            if key == "ExecStart" and not value:
                found = [entry for entry in found if entry[0] != "ExecStart"]
            found += [(key, path, flag) for flag in parse_flags(value)]
    for path in _ENVIRONMENT:
        text = re.sub(r"^\s*#.*$", "", host.read(path) or "", flags=re.MULTILINE)
        found += [("EnvironmentFile", path, flag) for flag in parse_flags(text)]
    return KubeletFlags(tuple((path, flag) for _, path, flag in found))


def read_service(host: Reader) -> KubeletService:
    done = host.query(*SHOW)
    if not done.ok:
        raise Unreadable(" ".join(SHOW), (done.stderr.strip().splitlines() or ["failed"])[-1][:120])
    return parse_show(done.stdout)


PROBES: tuple[Probe, ...] = (Probe(KubeletFlags, read_flags), Probe(KubeletService, read_service))
