"""Proxies that programs on the host are told to use, without the credentials that a proxy's URL may carry."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping

from caasctl.frozen import dataclass
from caasctl.host import glob, unmasked
from caasctl.protocol import Probe, Reader

UNITS = ("containerd", "kubelet")
_UNIT_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
                 "/lib/systemd/system")  # fmt: skip
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@|^[^/@\s:]+:[^/@\s]*@")
_NAMES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
_APT = re.compile(
    r'^\s*Acquire::(?P<scheme>https?)(?:::Proxy\s+"|\s*\{\s*Proxy\s+")(?P<url>[^"]+)"', re.IGNORECASE | re.MULTILINE
)
_EXPORT = re.compile(r"^\s*(?:export\s+)?(?P<name>\w+_(?:proxy|PROXY))=(?P<value>.*)$")


@dataclass(frozen=True)
class ProxySetting:
    """What one program is told. who: containerd, kubelet, services (all units), shell or apt. path: the file.

    http, https: the proxy's URL with its credentials masked. no_proxy: None where it is not set.
    """

    who: str
    path: str
    http: str = ""
    https: str = ""
    no_proxy: str | None = None

    @property
    def url(self) -> str:
        return self.https or self.http


@dataclass(frozen=True)
class Proxies:
    """One setting for each program that has any, the units' drop-ins merged as systemd does."""

    settings: tuple[ProxySetting, ...] = ()

    def of(self, who: str) -> ProxySetting | None:
        return next((setting for setting in self.settings if setting.who == who), None)


@dataclass(frozen=True)
class AptProxy:
    """The proxy of apt, None where it has none: a hint that the host reaches nothing without one."""

    setting: ProxySetting | None = None


def masked(url: str) -> str:
    """The URL with user and password replaced."""
    return _CREDENTIALS.sub("***@", url)


def parse_environment(text: str) -> dict[str, str]:
    """Proxy variables of lines NAME=value, with or without `export` and quotes; names in lower case, a later line holds."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        said = _EXPORT.match(line)
        if said and said["name"].lower() in _NAMES:
            value = said["value"].strip()
            quoted = value[:1] in ("'", '"') and value[:1] in value[1:]
            found[said["name"].lower()] = value[1 : value.index(value[0], 1)] if quoted else value.split(" ")[0]
    return found


def parse_unit(text: str, key: str = "Environment") -> tuple[dict[str, str], tuple[str, ...]]:
    """(proxy variables, environment files) of a unit file or drop-in; for system.conf the key is DefaultEnvironment."""
    found: dict[str, str] = {}
    files: list[str] = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        name, _, value = line.partition("=")
        if name.strip() == key and not value.strip():
            found.clear()
        elif name.strip() == key:
            found.update(parse_environment("\n".join(_words(value))))
        elif name.strip() == "EnvironmentFile":
            files.append(value.strip().removeprefix("-"))
    return found, tuple(files)


def _words(value: str) -> list[str]:
    """Quoting in units is a shell's, near enough for variables; a line that is not well formed is taken by spaces."""
    try:
        return shlex.split(value)
    except ValueError:
        return value.split()


def parse_apt(text: str) -> dict[str, str]:
    """Acquire::http::Proxy and Acquire::https::Proxy of apt's configuration."""
    return {f"{said['scheme'].lower()}_proxy": said["url"] for said in _APT.finditer(text)}


def _setting(who: str, found: Mapping[str, str], paths: Mapping[str, str]) -> ProxySetting | None:
    both = found.get("all_proxy", "")
    http, https = (masked(found.get(name) or both) for name in ("http_proxy", "https_proxy"))
    if not http and not https:
        return None
    path = next((paths[name] for name in ("https_proxy", "http_proxy", "all_proxy") if name in paths), "")
    return ProxySetting(who, path, http, https, found.get("no_proxy"))


def _unit(host: Reader, who: str, folders: Iterable[str], names: Iterable[str], key: str) -> ProxySetting | None:
    """The unit file, then its drop-ins by name, the first folder's file of one name."""
    drop_ins: dict[str, str] = {}
    for folder in folders:
        for path in glob(host, folder, ".conf"):
            drop_ins.setdefault(path.rpartition("/")[2], path)
    main = next((path for path in names if host.stat(path, follow=False)), None)
    found: dict[str, str] = {}
    paths: dict[str, str] = {}
    environment_files: list[str] = []
    for path in ([main] if main else []) + [drop_ins[name] for name in sorted(drop_ins)]:
        own, files = parse_unit(unmasked(host, path), key)
        environment_files += files
        found.update(own)
        paths.update(dict.fromkeys(own, path))
    for file in environment_files:  # systemd.exec(5): these override Environment=, wherever that stands
        more = {} if "%" in file or "*" in file else parse_environment(host.read(file) or "")
        found.update(more)
        paths.update(dict.fromkeys(more, file))
    return _setting(who, found, paths)


def _files(
    host: Reader, who: str, paths: Iterable[str], parse: Callable[[str], Mapping[str, str]]
) -> ProxySetting | None:
    found: dict[str, str] = {}
    where: dict[str, str] = {}
    for path in paths:
        own = parse(host.read(path) or "")
        found.update(own)
        where.update(dict.fromkeys(own, path))
    return _setting(who, found, where)


def _all(host: Reader) -> Iterator[ProxySetting | None]:
    for name in UNITS:
        drop_ins = [f"{folder}/{name}.service.d" for folder in _UNIT_FOLDERS]
        yield _unit(host, name, drop_ins, [f"{folder}/{name}.service" for folder in _UNIT_FOLDERS], "Environment")
    manager = ["/etc/systemd/system.conf.d", "/run/systemd/system.conf.d"]
    yield _unit(host, "services", manager, ["/etc/systemd/system.conf"], "DefaultEnvironment")
    yield _files(host, "shell", ("/etc/environment", *glob(host, "/etc/profile.d", ".sh")), parse_environment)


def read_proxies(host: Reader) -> Proxies:
    return Proxies(tuple(setting for setting in _all(host) if setting))


def read_apt_proxy(host: Reader) -> AptProxy:
    return AptProxy(_files(host, "apt", ("/etc/apt/apt.conf", *glob(host, "/etc/apt/apt.conf.d", "")), parse_apt))


PROBES: tuple[Probe, ...] = (Probe(Proxies, read_proxies), Probe(AptProxy, read_apt_proxy))
