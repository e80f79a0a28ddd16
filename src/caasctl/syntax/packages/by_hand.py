"""Commands that install by hand what caasctl does not install itself: shown, never run. One line for a shell each."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from caasctl.syntax.packages import Package, Repository, apt

_PATHS = {"docker": "$releasever/$basearch/stable"}
_RPM_KEYS = "/etc/pki/rpm-gpg"


def by_dnf(packages: Iterable[Package], repositories: Iterable[Repository]) -> str:
    """Each repository's key looked at, and taken only if it is the one that is wanted; its file; one installation.

    dnf alone would take with -y whatever key the address serves. Without a fingerprint in the profile, a word that is none stands for it.
    """
    listed, used = tuple(packages), tuple(repositories)
    names = [_named(package) for package in listed]
    off = ",".join(one.name for one in used)
    without = f" --disableexcludes={off}" if off else ""
    keys = {one.name: f"{_RPM_KEYS}/{one.name}.key" for one in used}
    steps = (
        f"{_taken(one, keys[one.name])} && rpm --import {keys[one.name]} && {_repo(one, listed, keys[one.name])}"
        for one in used
    )
    return " && ".join([*steps, f"dnf install -y{without} {' '.join(names)}"])


def by_apt(packages: Iterable[Package], repository: Repository, held: Iterable[str]) -> str:
    """The same of one repository for apt, and a hold on what must not follow an upgrade by itself."""
    key, keyring = f"/root/{repository.name}.key", f"{apt.KEYRINGS}/{repository.name}-apt-keyring.gpg"
    names = " ".join(shlex.quote(f"{one.name}={one.version}" if one.version else one.name) for one in packages)
    lines = ("Types: deb", f"URIs: {repository.uri}", f"Suites: {repository.suite}",
             *([f"Components: {' '.join(repository.components)}"] if repository.components else []), f"Signed-By: {keyring}")  # fmt: skip
    return " && ".join(
        (
            _taken(repository, key),
            f"install -d -m 0755 {apt.KEYRINGS}",
            f"gpg --dearmor --yes -o {keyring} {key}",
            _written(lines, f"{apt.SOURCES}/{repository.name}.sources"),
            f"apt-get update && apt-get install -y {names}",
            f"apt-mark hold {' '.join(held)}",
        )
    )


def _named(package: Package) -> str:
    version = package.version.partition("-")[0].partition("[")[0]
    return f"{package.name}-{version}" if version else package.name


def _taken(repository: Repository, file: str) -> str:
    """Its first key is compared; a file with more than one is refused, as all would be taken. Needs gnupg and curl."""
    key = repository.key.removeprefix("file://")
    get = f"curl -fsSL -o {file} {shlex.quote(key)}" if "://" in key else f"cp {shlex.quote(key)} {file}"
    wanted = repository.fingerprint or "FINGERPRINT_FROM_SOMEBODY_YOU_TRUST"
    shown = f'gpg --show-keys --with-colons {file} | awk -F: \'$1=="pub"{{p=1}} $1=="fpr"&&p{{print $10;p=0}}\''
    return f'{get} && gpg --show-keys --with-fingerprint {file} && test "$({shown})" = {wanted}'


def _repo(repository: Repository, packages: tuple[Package, ...], key: str) -> str:
    """What is excluded stays at its version until somebody says otherwise: dnf's way of a hold. gpgkey is what was compared."""
    names = " ".join(package.name for package in packages if package.repository == repository.name)
    names += " kubernetes-cni" if repository.name == "kubernetes" else ""  # it comes with the kubelet
    lines = (f"[{repository.name}]", f"name={repository.name}", f"baseurl={repository.uri}{_PATHS.get(repository.name, '')}",
             "enabled=1", "gpgcheck=1", f"gpgkey=file://{key}", f"exclude={names}")  # fmt: skip
    return _written(lines, f"/etc/yum.repos.d/{repository.name}.repo")


def _written(lines: Iterable[str], file: str) -> str:
    return f"printf '%s\\n' {' '.join(shlex.quote(line) for line in lines)} > {file}"
