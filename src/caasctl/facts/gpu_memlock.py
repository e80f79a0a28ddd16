"""Whether guests may lock their memory: Kata without root, and containerd's limit."""

from __future__ import annotations

import re
from collections.abc import Iterator

from caasctl.frozen import dataclass
from caasctl.host import glob
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax.containerd import host as containerd_host

_KATA = ("/etc/kata-containers", "/opt/kata/share/defaults/kata-containers")
_ROOTLESS = re.compile(r"^\s*rootless\s*=\s*true\b", re.MULTILINE)
_LIMIT = re.compile(r"^\s*LimitMEMLOCK\s*=\s*(\S*)", re.MULTILINE)


@dataclass(frozen=True)
class Memlock:
    """rootless: Kata's configuration files that start guests as an ordinary user. limit: containerd's LimitMEMLOCK, "" if none."""

    rootless: tuple[str, ...] = ()
    limit: str = ""


def _read(host: Reader) -> Memlock:
    rootless = tuple(path for path in _configs(host) if _ROOTLESS.search(_text(host, path)))
    return Memlock(rootless, _limit(host) if rootless else "")


def _configs(host: Reader) -> Iterator[str]:
    for folder in _KATA:
        for place in (folder, *(f"{folder}/runtimes/{name}" for name in host.list(f"{folder}/runtimes") or ())):
            for path in (*glob(host, place, ".toml"), *glob(host, f"{place}/config.d", ".toml")):
                if "qemu" in path:  # no other hypervisor gets a GPU
                    yield path


def _text(host: Reader, path: str) -> str:
    try:
        return host.read(path) or ""
    except Unreadable:  # kata.tree says so
        return ""


def _limit(host: Reader) -> str:
    service = containerd_host.service(host)
    texts = [host.read(path) or "" for path in (service.path, *service.drop_ins) if path]
    said = [limit for text in texts for limit in _LIMIT.findall(text)]
    return said[-1] if said else ""


PROBES = (Probe(Memlock, _read),)
