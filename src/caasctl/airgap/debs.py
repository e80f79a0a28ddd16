"""Debian's packages with all that they depend on, by apt in folders of its own, as a flat repository with an index."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from caasctl.airgap.directory import PACKAGES, hashed
from caasctl.frozen import dataclass
from caasctl.host import LiveHost
from caasctl.model import CaasError, Unreadable
from caasctl.resources.packages.repository import AptRepository
from caasctl.syntax.packages import Package, Repository

_URI = re.compile(r"^'(?P<uri>[^']+)' (?P<name>\S+) (?P<size>\d+)(?: SHA256:(?P<sha256>[0-9a-f]{64}))?", re.MULTILINE)
_UPDATE_S, _DOWNLOAD_S, _LOOK_S = 300.0, 3600.0, 300.0
_SOURCES = "/etc/apt/sources.list.d"


@dataclass(frozen=True)
class Apt:
    """apt that reads this machine's sources and those of the profile, and keeps all it writes below `work`.

    archives: where packages go. Its list of what is installed is empty, so that every dependency is fetched.
    """

    host: LiveHost
    work: str
    archives: str

    @property
    def argv(self) -> tuple[str, ...]:
        return self._argv(self.archives)

    def _argv(self, archives: str) -> tuple[str, ...]:
        options = (
            f"Dir::State={self.work}/state", f"Dir::State::lists={self.work}/lists", f"Dir::State::status={self.work}/status",
            f"Dir::Cache={self.work}", f"Dir::Cache::archives={archives}", f"Dir::Etc::sourceparts={self.work}/sources",
            "Acquire::Languages=none", "APT::Sandbox::User=root", "Acquire::Retries=3", "APT::Get::List-Cleanup=false",
        )  # fmt: skip
        return ("apt-get", "--yes", "--no-install-recommends", *(word for option in options for word in ("-o", option)))

    def prepare(self, repositories: tuple[Repository, ...]) -> None:
        """Sources and lists. Raises CaasError."""
        for place in ("lists/partial/x", "none/partial/x", "sources/x", "state/x"):
            self.host.write(f"{self.work}/{place}", b"")
            self.host.remove(f"{self.work}/{place}")
        self.host.write(f"{self.work}/status", b"")
        for name in self.host.list(_SOURCES) or ():
            text = self.host.read(f"{_SOURCES}/{name}")
            if text and name.endswith((".list", ".sources")) and not name.startswith("caasctl-"):
                self.host.write(f"{self.work}/sources/{name}", text.encode())
        for repository in repositories:
            self.host.write(f"{self.work}/sources/caasctl-{repository.name}.sources", self._source(repository).encode())
        self.host.execute(*self.argv, "update", "--error-on=any", timeout_s=_UPDATE_S, direct=())

    def _source(self, repository: Repository) -> str:
        key = self._key(repository)
        lines = ["Types: deb", f"URIs: {_copied(repository.uri)}", f"Suites: {repository.suite}",
                 *([f"Components: {' '.join(repository.components)}"] if repository.components else []), f"Signed-By: {key}"]  # fmt: skip
        return "\n".join(lines) + "\n"

    def _key(self, repository: Repository) -> str:
        """The path of the repository's key, once it is seen to be the profile's. Raises CaasError."""
        path = f"{self.work}/{repository.name}.gpg"
        self.host.write(path, AptRepository(repository, (), ()).fetched(self.host))
        return path

    def offered(self, packages: tuple[Package, ...]) -> dict[str, tuple[int, str]]:
        """File name -> bytes and SHA-256 ("" where apt goes by another) of all that is to be there, dependencies too. Raises CaasError."""
        said = self.host.query(
            *self._argv(f"{self.work}/none"), "-qq", "--print-uris", "install", *_words(packages), timeout_s=_LOOK_S
        )
        if not said.ok:
            raise CaasError("apt does not find all packages", cause=(said.stderr.strip().splitlines() or ["it says nothing"])[-1],
                            fix="correct what it names in the profile, or in this machine's apt sources")  # fmt: skip
        return {found["name"]: (int(found["size"]), found["sha256"] or "") for found in _URI.finditer(said.stdout)}

    def fetch(self, packages: tuple[Package, ...]) -> None:
        self.host.execute(*self.argv, "--download-only", "install", *_words(packages), timeout_s=_DOWNLOAD_S, direct=())


def _copied(uri: str) -> str:
    """By `file:` apt would leave the packages where they are."""
    return f"copy:{uri.removeprefix('file:')}" if uri.startswith("file:") else uri


def _words(packages: tuple[Package, ...]) -> tuple[str, ...]:
    return tuple(f"{one.name}={one.version}" if one.version else one.name for one in packages)


def index(host: LiveHost, folder: str, names: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """The text of Packages over the files of a flat repository, and file name -> version. Raises CaasError."""
    versions, stanzas = {}, []
    for name in names:
        control = _control(host, f"{folder}/{PACKAGES}/{name}")
        versions[name] = next(
            (line.split(": ", 1)[1] for line in control.splitlines() if line.startswith("Version: ")), ""
        )
        path = f"{folder}/{PACKAGES}/{name}"
        size = sum(len(block) for block in host.blocks(path))
        stanzas.append(f"{control.rstrip()}\nFilename: ./{name}\nSize: {size}\nSHA256: {hashed(host.blocks(path))}\n")
    return "\n".join(stanzas), versions


def _control(host: LiveHost, path: str) -> str:
    try:
        said = host.query("dpkg-deb", "--field", path, timeout_s=_LOOK_S)
    except Unreadable as unreadable:
        raise CaasError(
            f"{path} cannot be looked into", cause=unreadable.reason, fix="run the same command again"
        ) from unreadable
    if not said.ok:
        raise CaasError(
            f"{path} is no Debian package", cause=said.stderr.strip(), fix=f"rm {path}, then run the same command again"
        )
    return said.stdout


def names_of(names: Iterable[str]) -> Iterator[str]:
    yield from sorted(name for name in names if name.endswith(".deb"))
