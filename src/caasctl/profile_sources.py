"""What the types of a profile cannot say of where things come from: tarballs, repositories, proxies, mirrors; key path first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from reprlib import Repr
from typing import Any
from urllib.parse import unquote, urlsplit

from caasctl.hidden import HIDDEN
from caasctl.profile_packages import PackagesSpec, ProxySpec, RegistrySpec, RepositorySpec

_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_FINGERPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")
_VERSION = re.compile(r"\d+(\.\d+)+[0-9A-Za-z.+~:-]*")
_REGISTRY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d{1,5})?|_default")
_DIRECT = re.compile(r"[A-Za-z0-9.:/*_-]+|\[[0-9A-Fa-f:]+\]")
_PATH = re.compile(r"/[A-Za-z0-9._+/-]+")
_ADDRESS = re.compile(r"[!-~]+")
_MAX_WORD = 200  # characters of a wrong value that an error repeats: aliases make values that fill the memory
_HASHES = {
    "containerd.tarball": "the release has it in FILE.sha256sum, on https://github.com/containerd/containerd/releases",
    "containerd.runc": "the release has it in runc.sha256sum, on https://github.com/opencontainers/runc/releases",
    "containerd.cni": "the release has it in FILE.sha256, on https://github.com/containernetworking/plugins/releases",
    "helm": "the release has it beside each file, on https://github.com/helm/helm/releases",
}


def packages(spec: PackagesSpec) -> Iterator[str]:
    """What is wrong below spec.packages."""
    containerd, at = spec.containerd, "spec.packages"
    yield from _repository(f"{at}.kubernetes", spec.kubernetes)
    yield from _repository(f"{at}.containerd.docker", containerd.docker)
    for name, tarball in (("containerd.tarball", containerd.tarball), ("containerd.runc", containerd.runc),
                          ("containerd.cni", containerd.cni), ("helm", spec.helm)):  # fmt: skip
        yield from tarball_of(f"{at}.{name}", tarball.source, tarball.sha256, _HASHES[name])
        if tarball.source and containerd.from_ != "tarball" and name in ("containerd.tarball", "containerd.runc"):
            yield f"{at}.{name}.source: given, but {at}.containerd.from is {containerd.from_}; it is for `from: tarball` only"
    if containerd.from_ == "tarball" and not containerd.tarball.source:
        yield f"{at}.containerd.tarball.source: missing with `from: tarball`; the path or address of a release's containerd-VERSION-linux-ARCH.tar.gz"
    if containerd.version and not _VERSION.fullmatch(containerd.version):
        yield f"{at}.containerd.version: {shown(containerd.version)} is no version such as 2.2.1"


def tarball_of(path: str, source: str, sha256: str, where: str) -> Iterator[str]:
    """A file is taken by its hash only. path: of the keys `source` and `sha256`. where: how to get the hash, a clause."""
    if source and not source.startswith(("/", "https://")):
        yield f"{path}.source: {without_login(source)} is neither an absolute path nor an https:// address"
    if source and "@" in source.partition("://")[2].partition("/")[0]:
        yield f"{path}.source: an address with a user in it; fetch the file with your own tool, and give its path"
    if source and not sha256:
        yield f"{path}.sha256: missing; {where}"
    elif sha256 and not _SHA256.fullmatch(sha256):
        yield f"{path}.sha256: {shown(sha256)} is no SHA-256: 64 hex digits, without sha256: before them"


def _repository(path: str, spec: RepositorySpec) -> Iterator[str]:
    if spec.uri and not _is_address(spec.uri, ("https", "http", "file")):
        yield f"{path}.uri: {without_login(spec.uri)} is no https:// or http:// address, nor file:/// and the folder of a repository on this host"
    if spec.uri.startswith("http://") and not spec.key:
        yield f"{path}.key: missing with a uri of http://; the path of the repository's key on this host, or an https:// address of it"
    if spec.key and not (_is_address(spec.key, ("https",)) or _PATH.fullmatch(spec.key)):
        yield f"{path}.key: {without_login(spec.key)} is neither an absolute path nor an https:// address"
    if spec.fingerprint and not _FINGERPRINT.fullmatch(spec.digits):
        yield (
            f"{path}.fingerprint: {shown(spec.fingerprint)} is no fingerprint of an OpenPGP key: 40 hex digits, "
            "as `gpg --show-keys --with-fingerprint FILE` shows them; a key's short id is not enough"
        )
    for name, value in (("uri", spec.uri), ("key", spec.key)):
        if "@" in urlsplit(value).netloc:
            yield f"{path}.{name}: an address with a user in it, which every user of the host could read; apt takes it from /etc/apt/auth.conf.d"


def proxy(spec: ProxySpec) -> Iterator[str]:
    """What is wrong below spec.proxy."""
    for name, value in (("http", spec.http), ("https", spec.https)):
        if not value:
            continue
        if not _is_address(value, ("http", "https")) or urlsplit(value).path not in ("", "/"):
            yield f"spec.proxy.{name}: {without_login(value)} is not of the form http://HOST:PORT"
        elif "@" in value and not _is_login(value):
            yield f"spec.proxy.{name}: a proxy with a user needs a password too, a colon between them, and neither may have a blank in it"
    for at, name in enumerate(spec.noProxy):
        if not _DIRECT.fullmatch(name):
            yield f"spec.proxy.noProxy[{at}]: {without_login(name)} is no host, .domain, address or network; one in each entry"


def _is_login(url: str) -> bool:
    """What apt_auth.conf(5) can hold."""
    parts = urlsplit(url)
    words = (unquote(parts.username or ""), unquote(parts.password or ""))
    return all(word and not re.search(r"\s", word) for word in words)


def registries(specs: Mapping[str, RegistrySpec]) -> Iterator[str]:
    """What is wrong below spec.containerd.registries."""
    for name, spec in specs.items():
        path = f"spec.containerd.registries.{name}"
        if not _REGISTRY.fullmatch(name):
            yield f"spec.containerd.registries: {shown(name)} is no registry such as docker.io or registry.example.org:5000, without https://"
            continue
        for at, mirror in enumerate(spec.mirrors):
            if not _is_address(mirror, ("https", "http")) or "@" in mirror:
                yield f"{path}.mirrors[{at}]: {without_login(mirror)} is no https:// address without a user in it"
        if spec.ca and not _PATH.fullmatch(spec.ca):
            yield f"{path}.ca: {shown(spec.ca)} is no absolute path"
        if not spec.mirrors and not spec.ca:
            yield f"{path}: neither mirrors nor ca; it would change nothing"


def _is_address(text: str, schemes: tuple[str, ...]) -> bool:
    if not _ADDRESS.fullmatch(text):
        return False
    try:
        parts = urlsplit(text)
        good = parts.port is None or parts.port > 0
    except ValueError:
        return False
    if parts.scheme == "file":
        return "file" in schemes and not parts.netloc and bool(_PATH.fullmatch(parts.path))
    return parts.scheme in schemes and bool(parts.hostname) and good


def without_login(address: Any) -> str:
    """An address that is wrong, as an error may repeat it: where its login ends cannot be told of one that is no address."""
    return f"the value {HIDDEN}" if isinstance(address, str) and "@" in unquote(address) else shown(address)


def shown(value: Any) -> str:
    """A value of a profile, as short as an error may repeat it."""
    short = Repr()
    short.maxlevel, short.maxstring, short.maxother, short.maxlong = 2, *[_MAX_WORD] * 3
    return short.repr(value)
