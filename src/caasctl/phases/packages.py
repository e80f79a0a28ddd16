"""Phase packages: repositories by their keys, what is missing by apt in one transaction, holds; releases' tarballs."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.kata_host import Machine
from caasctl.facts.network_proxy import AptProxy
from caasctl.facts.os import OsRelease
from caasctl.facts.os_apt import AptSources
from caasctl.model import Facts
from caasctl.needs.network import proxy
from caasctl.needs.packages import HELD, manager, wanted
from caasctl.profile import NodeProfile
from caasctl.profile_packages import ProxySpec
from caasctl.protocol import Phase, Resource
from caasctl.resources.files import File, Gone
from caasctl.resources.packages.repository import AptRepository
from caasctl.resources.packages.transaction import AptHolds, AptLists, AptPackages


def desired(facts: Facts, profile: NodeProfile) -> Iterator[Resource]:
    """The whole list, whatever of it is there: each resource leaves alone what is."""
    distribution = facts[OsRelease]
    if manager(distribution) == "apt":
        yield from _proxy(facts, profile.spec.proxy)
    want = wanted(profile, distribution, facts[Machine].word)
    if manager(distribution) != "apt" or not want.packages:
        return
    signed = tuple(one for one in want.repositories if one.fingerprint)
    repositories = tuple(AptRepository(one, want.of(one.name)) for one in signed)
    yield from repositories
    lists = AptLists(want.packages, after=tuple(one.name for one in repositories))
    yield lists
    yield AptPackages(want.packages)
    if profile.spec.packages.hold:
        yield AptHolds(tuple(package for package in want.packages if package.name in HELD))


def _proxy(facts: Facts, spec: ProxySpec) -> Iterator[File]:
    """Apt's own files, before it is asked for anything. Whoever may not read the passwords gets no error from apt."""
    if not spec.http and not spec.https:
        yield from (Gone(proxy.APT), Gone(proxy.APT_LOGIN))
        return
    known = facts.get(AptSources)
    hosts = dict.fromkeys(source.host for source in (known.sources if known else ()) if source.host)
    login = File(proxy.APT_LOGIN, proxy.apt_login(spec), 0o600, secret=True)
    yield login if proxy.is_secret(spec) else Gone(proxy.APT_LOGIN)
    yield File(proxy.APT, proxy.apt(spec, hosts))


PHASE = Phase(
    "packages",
    "containerd, Kubernetes' programs and what they need, from their repositories",
    desired,
    reads=(OsRelease, Machine, AptSources),
    disturbs=(AptProxy,),
    may_idle=True,
)
