"""The commands that install by dnf what caasctl installs by apt: shown, never run."""

from __future__ import annotations

from collections.abc import Iterable

from caasctl.syntax.packages import Package, Repository

_PATHS = {"docker": "$releasever/$basearch/stable"}


def commands(packages: Iterable[Package], repositories: Iterable[Repository]) -> str:
    """One line for a shell: each repository's key looked at, and taken only if it is the one that is wanted; its file; one installation.

    dnf alone would take with -y whatever key the address serves. Without a fingerprint in the profile, a word that is none stands for it.
    """
    listed, used = tuple(packages), tuple(repositories)
    names = [_named(package) for package in listed]
    off = ",".join(one.name for one in used)
    without = f" --disableexcludes={off}" if off else ""
    return " && ".join(
        [*(f"{_key(one)} && {_file(one, listed)}" for one in used), f"dnf install -y{without} {' '.join(names)}"]
    )


def _named(package: Package) -> str:
    version = package.version.partition("-")[0].partition("[")[0]
    return f"{package.name}-{version}" if version else package.name


def _key(repository: Repository) -> str:
    """Its first key is compared; a file with more than one is refused, as rpm would take them all. Needs gnupg2 and curl."""
    file, key = f"/root/{repository.name}.key", repository.key.removeprefix("file://")
    get = f"curl -fsSL -o {file} {key}" if "://" in key else f"cp {key} {file}"
    wanted = repository.fingerprint or "FINGERPRINT_FROM_SOMEBODY_YOU_TRUST"
    shown = f'gpg --show-keys --with-colons {file} | awk -F: \'$1=="pub"{{p=1}} $1=="fpr"&&p{{print $10;p=0}}\''
    return f'{get} && gpg --show-keys --with-fingerprint {file} && test "$({shown})" = {wanted} && rpm --import {file}'


def _file(repository: Repository, packages: tuple[Package, ...]) -> str:
    """What is excluded stays at its version until somebody says otherwise: dnf's way of a hold."""
    names = " ".join(package.name for package in packages if package.repository == repository.name)
    names += " kubernetes-cni" if repository.name == "kubernetes" else ""  # it comes with the kubelet
    lines = (f"[{repository.name}]", f"name={repository.name}", f"baseurl={repository.uri}{_PATHS.get(repository.name, '')}",
             "enabled=1", "gpgcheck=1", f"gpgkey={repository.key}", f"exclude={names}", "")  # fmt: skip
    text = "\\n".join(lines)
    return f"printf '{text}' > /etc/yum.repos.d/{repository.name}.repo"
