"""Names of images as containerd reads them: registry, repository, tag, digest; what is left out is filled in as Docker does."""

from __future__ import annotations

import re

from caasctl.frozen import dataclass

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_REPOSITORY = re.compile(r"[a-z0-9]+((\.|_{1,2}|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_{1,2}|-+)[a-z0-9]+)*)*")
_REGISTRY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(:\d{1,5})?")
_DOCKER, _DOCKERS_HOST = "docker.io", "registry-1.docker.io"


@dataclass(frozen=True)
class Image:
    """tag, digest: "" where not given; at least one of them is there."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """As containerd keeps it: a pod that names both tag and digest is served by the one with the digest."""
        base = f"{self.registry}/{self.repository}"
        return (*((f"{base}:{self.tag}",) if self.tag else ()), *((f"{base}@{self.digest}",) if self.digest else ()))

    @property
    def reference(self) -> str:
        """What a registry is asked for."""
        return self.digest or self.tag

    @property
    def host(self) -> str:
        """Where the registry answers."""
        return _DOCKERS_HOST if self.registry == _DOCKER else self.registry

    @property
    def file_name(self) -> str:
        """Of another digest another one: what is kept by it is the same image."""
        name = "_".join(
            (self.names[0].partition("@")[0], *([self.digest.removeprefix("sha256:")] if self.digest else []))
        )
        return re.sub(r"[^A-Za-z0-9.-]+", "_", name) + ".tar"


def parse(text: str) -> Image | None:
    """None for what is no name of an image."""
    name, _, digest = text.partition("@")
    first, slash, rest = name.partition("/")
    registry = first if slash and ("." in first or ":" in first or first == "localhost") else _DOCKER
    path = rest if registry == first and slash else name
    repository, colon, tag = path.partition(":")
    if registry == _DOCKER and "/" not in repository:
        repository = f"library/{repository}"
    tag = tag if colon or digest else "latest"
    good = all((
        _REGISTRY.fullmatch(registry), _REPOSITORY.fullmatch(repository),
        not (colon or tag) or _TAG.fullmatch(tag), "@" not in text or _DIGEST.fullmatch(digest),
    ))  # fmt: skip
    return Image(registry, repository, tag, digest) if good else None
