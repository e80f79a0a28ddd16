"""What is installed on a host, as values: packages, downloads, repositories."""

from __future__ import annotations

from fnmatch import fnmatchcase

from caasctl.frozen import dataclass


@dataclass(frozen=True)
class Package:
    """name: as the package manager has it. version: a glob over its version, "" for whatever the repository has.

    repository: "" for the distribution's. program: whose presence on PATH makes it needless; "" where only the package will do.
    """

    name: str
    version: str = ""
    repository: str = ""
    program: str = ""

    def fits(self, version: str) -> bool:
        """Whether a version, as the package manager has it, is one that is wanted; its epoch does not count."""
        return not self.version or fnmatchcase(version.rpartition(":")[2], self.version)


@dataclass(frozen=True)
class Download:
    """source: a path or an https address. sha256: of that file, in lower case. program: whose presence makes it needless.

    to: the folder that its members go to; the file itself, under `program`'s name, where top is None. top: the folder in the
    tarball whose content is meant, "" for all. setting: the profile's keys are below this one.
    """

    name: str
    source: str
    sha256: str
    to: str
    program: str
    top: str | None = ""
    setting: str = "spec.packages"


@dataclass(frozen=True)
class Repository:
    """uri, suite, components: as a source of apt has them; a suite that ends with / has no components. key: where the OpenPGP key
    that signs it is. fingerprint: hex in upper case, "" where the profile gives none, and the repository is not used.

    setting: the profile's keys are below this one.
    """

    name: str
    uri: str
    suite: str
    components: tuple[str, ...]
    key: str
    fingerprint: str
    setting: str


@dataclass(frozen=True)
class Wanted:
    """All that a profile installs on a host, in the order of installation: packages come before downloads."""

    packages: tuple[Package, ...] = ()
    downloads: tuple[Download, ...] = ()
    repositories: tuple[Repository, ...] = ()

    @property
    def unsigned(self) -> tuple[Repository, ...]:
        """The repositories that cannot be used, as the profile names no key for them."""
        return tuple(repository for repository in self.repositories if not repository.fingerprint)

    def of(self, repository: str) -> tuple[Package, ...]:
        return tuple(package for package in self.packages if package.repository == repository)
