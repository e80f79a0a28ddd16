"""The commands that install by dnf what caasctl installs by apt: shown, never run."""

from __future__ import annotations

from collections.abc import Iterable

from caasctl.syntax.packages import Package, Repository

_PATHS = {"docker": "$releasever/$basearch/stable"}


def commands(packages: Iterable[Package], repositories: Iterable[Repository]) -> str:
    """One line for a shell: a file for each repository, then one installation."""
    listed, used = tuple(packages), tuple(repositories)
    names = [_named(package) for package in listed]
    off = ",".join(one.name for one in used)
    without = f" --disableexcludes={off}" if off else ""
    return " && ".join([*(_file(one, listed) for one in used), f"dnf install -y{without} {' '.join(names)}"])


def _named(package: Package) -> str:
    version = package.version.partition("-")[0].partition("[")[0]
    return f"{package.name}-{version}" if version else package.name


def _file(repository: Repository, packages: tuple[Package, ...]) -> str:
    """What is excluded stays at its version until somebody says otherwise: dnf's way of a hold."""
    names = " ".join(package.name for package in packages if package.repository == repository.name)
    lines = (f"[{repository.name}]", f"name={repository.name}", f"baseurl={repository.uri}{_PATHS.get(repository.name, '')}",
             "enabled=1", "gpgcheck=1", f"gpgkey={repository.key}", f"exclude={names}", "")  # fmt: skip
    text = "\\n".join(lines)
    return f"printf '{text}' > /etc/yum.repos.d/{repository.name}.repo"
