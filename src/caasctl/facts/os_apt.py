"""Where apt takes packages from, as this host has it written down: sources, keys, Release files, preferences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from datetime import datetime
from email.utils import parsedate_to_datetime

from caasctl.frozen import dataclass
from caasctl.host import glob
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax import os_release
from caasctl.syntax.containerd.host import programs
from caasctl.syntax.debian import pins, sources
from caasctl.syntax.debian.pins import Pin
from caasctl.syntax.debian.sources import Source
from caasctl.syntax.debian.stanzas import stanzas
from caasctl.syntax.packages import apt, openpgp

ETC, LISTS = "/etc/apt", "/var/lib/apt/lists"
_FORMATS = (".list", ".sources")
_RUNTIMES = ("containerd", "containerd.io")
_HEAD = 24  # lines: a signature's armour, then the fields; the sums come after them


@dataclass(frozen=True)
class AptSources:
    """there: the host has apt. codename: VERSION_CODENAME of /etc/os-release. sources: those enabled, in apt's order.

    base: the codename of what a derivative is built on, whose archive it uses, "" for none.
    keys: fingerprints in the files that a Signed-By names, by path; keys_unread: those that hold none we can read, and why.
    keys_gone: paths that a Signed-By names and that are not there. folders_gone: those of file: and copy: sources.
    """

    there: bool
    codename: str = ""
    sources: tuple[Source, ...] = ()
    keys_gone: frozenset[str] = frozenset()
    folders_gone: frozenset[str] = frozenset()
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keys_unread: Mapping[str, str] = field(default_factory=dict)
    base: str = ""

    @property
    def archive(self) -> str:
        """The release that the archive's own packages are of."""
        return self.base or self.codename


@dataclass(frozen=True)
class Release:
    """A Release file. origin, suite, codename: what it says of itself. date, until: UTC, None where it does not say."""

    path: str
    origin: str = ""
    suite: str = ""
    codename: str = ""
    date: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class AptReleases:
    """fetched: those that `apt-get update` fetched last. local: by source folder, those of mirrors on this host."""

    fetched: tuple[Release, ...] = ()
    local: Mapping[str, tuple[Release, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class AptPins:
    """The records of /etc/apt/preferences and /etc/apt/preferences.d, without caasctl's own."""

    pins: tuple[Pin, ...] = ()


@dataclass(frozen=True)
class AptOffers:
    """Versions of containerd's packages in apt's lists, first what apt itself would take, then the newest; only where no containerd is there."""

    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def parse_heads(text: str) -> Iterator[Release]:
    """Of `head -v` on Release and InRelease files; an empty one says nothing."""
    for block in re.split(r"^==> ", text, flags=re.MULTILINE)[1:]:
        path, _, body = block.partition(" <==\n")
        fields = next((found for found in stanzas(body) if "origin" in found or "date" in found), {})
        yield Release(
            path, fields.get("origin", ""), fields.get("suite", ""), fields.get("codename", ""),
            _date(fields.get("date", "")), _date(fields.get("valid-until", "")),
        )  # fmt: skip


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text.replace("UTC", "+0000")) if text else None
    except ValueError:
        return None


def read_sources(host: Reader) -> AptSources:
    if host.list(ETC) is None:
        return AptSources(there=False)
    names = ("sources.list", *(f"sources.list.d/{name}" for name in host.list(f"{ETC}/sources.list.d") or ()))
    paths = [f"{ETC}/{name}" for name in names if name.endswith(_FORMATS)]
    found = tuple(source for path in paths for source in sources.parse(path, host.read(path) or ""))
    keys = {key for source in found for key in source.keyrings}
    read, unread = _keyrings(host, keys)
    told = os_release.fields(host.read("/etc/os-release") or "")
    return AptSources(
        True,
        told.get("VERSION_CODENAME", ""),
        found,
        frozenset(key for key in keys if not _is_there(host, key)),
        frozenset(source.folder for source in found if source.folder and not _is_there(host, source.folder)),
        read,
        unread,
        os_release.base(told)[1],
    )


def _keyrings(host: Reader, paths: Iterable[str]) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """What is not there is in neither."""
    read: dict[str, tuple[str, ...]] = {}
    unread: dict[str, str] = {}
    for path in sorted(paths):
        try:
            data = host.read_bytes(path)
            if data is not None:
                read[path] = tuple(openpgp.keys(data))
        except openpgp.NoKey as no:
            unread[path] = f"{path}: {no}"
        except Unreadable as lost:
            unread[path] = str(lost)
    return read, unread


def _is_there(host: Reader, path: str) -> bool:
    """What may not be looked at is taken for there: only apt, as root, can tell."""
    try:
        return host.stat(path) is not None
    except Unreadable:
        return True


def read_releases(host: Reader) -> AptReleases:
    """By `head`: the lists of sums that follow in these files are long, and nothing to us."""
    fetched = glob(host, LISTS, "Release")
    folders = dict.fromkeys((source.folder, source.suite) for source in read_sources(host).sources if source.folder)
    mirrors = {path: folder for folder, suite in folders for path in _of_mirror(host, folder, suite)}
    paths = (*fetched, *mirrors)
    if not paths:
        return AptReleases()
    said = host.query("head", "-v", "-n", str(_HEAD), "--", *paths)
    found = tuple(parse_heads(said.stdout))
    local = {folder: tuple(each for each in found if mirrors.get(each.path) == folder) for folder in mirrors.values()}
    return AptReleases(tuple(each for each in found if each.path not in mirrors), local)


def _of_mirror(host: Reader, folder: str, suite: str) -> tuple[str, ...]:
    base = f"{folder}/{suite}".rstrip("/.") if suite.endswith("/") else f"{folder}/dists/{suite}"
    return tuple(path for path in (f"{base}/InRelease", f"{base}/Release") if host.stat(path))[:1]


def read_pins(host: Reader) -> AptPins:
    own = "/caasctl-"
    names = [path for path in glob(host, f"{ETC}/preferences.d", "") if own not in path and "." not in path.rpartition("/")[2].removesuffix(".pref")]  # fmt: skip
    return AptPins(
        tuple(pin for path in (f"{ETC}/preferences", *names) for pin in pins.parse(path, host.read(path) or ""))
    )


def read_offers(host: Reader) -> AptOffers:
    """Apt's lists are packed, and only apt knows which of them count: a host with a containerd is not asked."""
    if programs(host, "containerd") or not host.list(LISTS):
        return AptOffers()
    said = (host.query("apt-cache", verb, *_RUNTIMES, timeout_s=10).stdout for verb in ("madison", "policy"))
    return AptOffers(apt.offered(*said))


PROBES: tuple[Probe, ...] = (
    Probe(AptOffers, read_offers),
    Probe(AptSources, read_sources),
    Probe(AptReleases, read_releases),
    Probe(AptPins, read_pins),
)
