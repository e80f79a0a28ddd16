"""The proxies of a profile: what apt, containerd and the kubelet are told, and what they reach without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import unquote, urlsplit

from caasctl.facts.ownership import APT_PROXY, PROXY
from caasctl.model import HEADER
from caasctl.profile_packages import ProxySpec
from caasctl.syntax.no_proxy import covered
from caasctl.syntax.systemd import environment_file

APT, APT_LOGIN = APT_PROXY
_LOOPBACK = "127.0.0.1"  # curl and others know no ranges


def is_secret(spec: ProxySpec) -> bool:
    """Whether a proxy's address has a password in it."""
    return any("@" in url for url in (spec.http, spec.https))


def environment(spec: ProxySpec, direct: Iterable[str]) -> str:
    """Of a service. Both cases: Go reads either, curl no HTTP_PROXY in capitals. direct: of the cluster and this node."""
    no_proxy = ",".join(dict.fromkeys((*spec.noProxy, *direct, _LOOPBACK)))
    both = {"HTTP_PROXY": spec.http, "HTTPS_PROXY": spec.https, "NO_PROXY": no_proxy}
    told = {name: value for name, value in both.items() if value}
    return HEADER + environment_file({**told, **{name.lower(): value for name, value in told.items()}})


def drop_in() -> str:
    """Of a unit; the variables are in a file of their own: `systemctl show` gives those of Environment= to everybody."""
    return f"{HEADER}[Service]\nEnvironmentFile=-{PROXY}\n"


def apt(spec: ProxySpec, hosts: Iterable[str]) -> str:
    """Apt's configuration, which every user reads: without passwords. hosts: of its sources; those of noProxy go DIRECT."""
    lines = [f'Acquire::{scheme}::Proxy "{_without_login(url)}";' for scheme, url in _schemes(spec)]
    named = dict.fromkeys((*hosts, *(name for name in spec.noProxy if _is_host(name))))
    direct = [host for host in named if covered(host, spec.noProxy)]
    lines += [f'Acquire::{scheme}::Proxy::{host} "DIRECT";' for host in direct for scheme, _ in _schemes(spec)]
    return "\n".join((HEADER.rstrip(), *lines, ""))


def apt_login(spec: ProxySpec) -> str:
    """apt_auth.conf(5): a machine with its scheme, as apt gives no password to a proxy over plain http otherwise."""
    parts = dict.fromkeys(url for _, url in _schemes(spec) if "@" in url)
    stanzas = [
        f"machine {_without_login(url).rstrip('/')}\nlogin {unquote(urlsplit(url).username or '')}\n"
        f"password {unquote(urlsplit(url).password or '')}\n"
        for url in parts
    ]
    return HEADER + "\n".join(stanzas)


def _schemes(spec: ProxySpec) -> Iterator[tuple[str, str]]:
    yield from ((scheme, url) for scheme, url in (("http", spec.http), ("https", spec.https)) if url)


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _is_host(name: str) -> bool:
    """No domain, no range: apt compares whole names only."""
    return not name.startswith((".", "*")) and "/" not in name and ":" not in name
