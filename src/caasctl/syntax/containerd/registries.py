"""Registries' hosts.toml files, one for each registry below certs.d: their text, what one says, and the config_path to them."""

from __future__ import annotations

import re
from typing import Any

from caasctl.formats import FormatError, dump_toml, parse_toml
from caasctl.frozen import dataclass
from caasctl.model import HEADER
from caasctl.syntax.containerd.tables import strings, table

CERTS = "/etc/containerd/certs.d"
DEFAULT = "_default"  # the folder for every registry that has none of its own
NAME = "hosts.toml"
_ANSWERS = ["pull", "resolve"]  # without resolve containerd asks the registry itself what a tag means
_SCHEME = re.compile(r"https?://")


@dataclass(frozen=True)
class Registry:
    """name: as in an image's name, HOST or HOST:PORT, or _default. mirrors: addresses, asked in order before the registry itself.

    ca: path of the CA's certificate, "" for the system's. override_path: the addresses are whole, without /v2 behind them.
    """

    name: str
    mirrors: tuple[str, ...] = ()
    ca: str = ""
    override_path: bool = False


@dataclass(frozen=True)
class Hosts:
    """What a hosts.toml says. mirrors: as written. cas: paths, those without a folder lie beside the file. error: why it is none."""

    mirrors: tuple[str, ...] = ()
    cas: tuple[str, ...] = ()
    error: str = ""

    @property
    def without_scheme(self) -> tuple[str, ...]:
        """Mirrors that containerd asks by https, since nothing else is said."""
        return tuple(mirror for mirror in self.mirrors if not _SCHEME.match(mirror))


def path(name: str, folder: str = CERTS) -> str:
    return f"{folder}/{name}/{NAME}"


def shadow(name: str, folder: str = CERTS) -> str:
    """The other name of the folder of a registry with a port, which containerd looks for first; "" without a port."""
    host, colon, port = name.rpartition(":")
    return f"{folder}/{host}_{port}_/{NAME}" if colon else ""


def text(registry: Registry) -> str:
    """Without `server` the registry itself is asked last. Without mirrors the CA is the registry's own."""
    said: dict[str, Any] = {"capabilities": _ANSWERS}
    said |= {"ca": registry.ca} if registry.ca else {}
    said |= {"override_path": True} if registry.override_path else {}
    if not registry.mirrors:
        return HEADER + dump_toml({"ca": registry.ca})
    return HEADER + dump_toml({"host": dict.fromkeys(registry.mirrors, said)})


def parse(text: str, path: str) -> Hosts:
    """A hosts.toml, of whoever's hand."""
    try:
        data = parse_toml(text, path)
    except FormatError as error:
        return Hosts(error=error.problem)
    hosts, folder = table(data, "host"), path.rpartition("/")[0]
    tables = (data, *(table(hosts, name) for name in hosts))
    found = [ca for one in tables for ca in strings([one.get("ca")]) or strings(one.get("ca"))]
    return Hosts(tuple(hosts), tuple(dict.fromkeys(ca if ca.startswith("/") else f"{folder}/{ca}" for ca in found)))


def folders(config_path: Any) -> tuple[str, ...]:
    """The folders of a config_path, which are looked through in order."""
    return tuple(part for part in str(config_path or "").split(":") if part)


def with_certs(config_path: Any) -> str:
    """The config_path that leads to our folder too: the user's own come behind it."""
    there = folders(config_path)
    return ":".join(there if CERTS in {one.rstrip("/") for one in there} else (CERTS, *there))
