"""Mirrors of registries: those of the profile are asked, and no hosts.toml is one that containerd cannot use."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.containerd import ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig
from caasctl.facts.containerd_registries import HostsToml, RegistryFolders
from caasctl.model import Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.containerd import registries
from caasctl.profile import NodeProfile
from caasctl.syntax.containerd import registries as hosts
from caasctl.syntax.containerd.imports import merged
from caasctl.syntax.containerd.judge import old_keys
from caasctl.syntax.containerd.registries import CERTS, Registry
from caasctl.syntax.containerd.tables import cri

_SOURCE = "containerd docs/hosts.md; core/remotes/docker/config/hosts.go"


@check(
    "containerd.hosts_files",
    "Each hosts.toml is one that containerd can use",
    reads=(RegistryFolders,),
    why="containerd logs `failed to decode hosts.toml`, or `unable to read CA cert`, and then asks the registry itself or nobody.",
    fix="A hosts.toml names mirrors with https:// or http://, and CA files that are there.",
    source=_SOURCE,
)
def hosts_files(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Every hosts.toml in the folders of config_path and in /etc/containerd/certs.d, and the CA files that they name."""
    files = facts[RegistryFolders].files
    found = [finding for file in files for finding in _broken(file)]
    yield from found
    if files and not found:
        yield passed(", ".join(file.path for file in files))


def _broken(file: HostsToml) -> Iterator[Finding]:
    if file.hosts.error:
        yield failed(file.hosts.error, wanted="TOML", subject=file.path, fixed_by="containerd" if file.ours else "",
                     fix=Fix(f"correct {file.path}", FixKind.EDIT))  # fmt: skip
    for path in file.missing:
        yield failed(f"there is no {path}", wanted="the CA's certificate", subject=file.path,
                     fix=Fix(f"put the certificate, as PEM, at {path}", FixKind.EDIT))  # fmt: skip
    for mirror in file.hosts.without_scheme:
        yield warned(f'[host."{mirror}"] names no scheme', wanted="https:// or http://", subject=file.path,
                     cause="containerd asks it by https: a mirror that speaks http only answers `server gave HTTP response to HTTPS client`.",
                     fix=Fix(f'write [host."https://{mirror}"] or [host."http://{mirror}"] in {file.path}', FixKind.EDIT))  # fmt: skip


@check(
    "containerd.mirrors",
    "The profile's mirrors are asked",
    reads=(RegistryFolders, ContainerdConfig, ContainerdVersion),
    why="containerd asks the registry itself, or another mirror than the profile names; without a way out pulls end with `i/o timeout`.",
    fix="spec.containerd.registries in the profile; phase containerd writes /etc/containerd/certs.d/REGISTRY/hosts.toml and config_path.",
    source=_SOURCE,
    fixed_by="containerd",
    gates=("containerd",),
    after=("containerd.installed",),
)
def mirrors(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The registry table of containerd's configuration, and the hosts.toml files, beside spec.containerd.registries."""
    wanted = registries(profile)
    found = [*(_excluded(facts) if wanted else ()), *(_told(facts) if wanted else ())]
    found += [finding for registry in wanted for finding in _judged(facts[RegistryFolders], registry)]
    found += list(_left(facts[RegistryFolders], {registry.name for registry in wanted}))
    yield from found
    if wanted and not found:
        yield passed(", ".join(f"{one.name}: {', '.join(one.mirrors) or one.ca}" for one in wanted))


def _excluded(facts: Facts) -> Iterator[Finding]:
    """The keys of before config_path: with both the CRI does not start."""
    config = facts[ContainerdConfig]
    for key in old_keys(cri(merged(config.files, facts[ContainerdVersion].version))):
        yield failed(f"the registry table has {key}", wanted="hosts.toml files only", subject=config.path, fixed_by="",
                     cause=f"The mirrors of the profile need config_path, beside which `{key}` keeps the CRI plugin from starting.",
                     fix=Fix(f"move {key} from {config.path} into spec.containerd.registries of the profile", FixKind.EDIT))  # fmt: skip


def _told(facts: Facts) -> Iterator[Finding]:
    there = facts[RegistryFolders].config_path
    if CERTS not in there:
        yield failed(f"config_path is {':'.join(there) or 'empty'}", wanted=CERTS, subject=facts[ContainerdConfig].path,
                     fix=Fix("caasctl init-node"))  # fmt: skip


def _judged(there: RegistryFolders, registry: Registry) -> Iterator[Finding]:
    path, other = hosts.path(registry.name), hosts.shadow(registry.name)
    file = there.at(path)
    if other and there.at(other):
        yield warned(f"{other} is there", wanted=path, subject=registry.name, fixed_by="",
                     cause="containerd looks for that name first, and reads the profile's file no more.",
                     fix=Fix(f"rm -r {other.rpartition('/')[0]}"))  # fmt: skip
    if file is None:
        yield failed("no hosts.toml", wanted=path, subject=registry.name, fix=Fix("caasctl init-node"))
    elif file.ours and file.text != hosts.text(registry):
        yield failed("not as the profile says", wanted=", ".join(registry.mirrors) or registry.ca, subject=path,
                     fix=Fix("caasctl init-node"))  # fmt: skip
    elif not file.ours and set(registry.mirrors) - set(file.hosts.mirrors):
        yield warned(f"a file of your own, which asks {', '.join(file.hosts.mirrors) or 'no mirror'}", subject=path,
                     wanted=", ".join(registry.mirrors), fixed_by="", cause="caasctl keeps it, and the profile's mirrors are not asked.",
                     fix=Fix(f"mv {path} {path}.mine"))  # fmt: skip


def _left(there: RegistryFolders, named: set[str]) -> Iterator[Finding]:
    for file in there.files:
        name = file.path.removeprefix(f"{CERTS}/").removesuffix(f"/{hosts.NAME}")
        if file.ours and name not in named:
            yield warned("written by caasctl for a profile that named it", wanted="no file, or the registry in the profile",
                         subject=file.path, fixed_by="", cause="containerd still asks these mirrors.",
                         fix=Fix(f"rm -r {file.path.rpartition('/')[0]}"))  # fmt: skip


CHECKS = (hosts_files, mirrors)
