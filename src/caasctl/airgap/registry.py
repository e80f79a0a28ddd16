"""Images from their registries or the profile's mirrors: every part of one checked by its digest, and resumed where a connection breaks.

Why caasctl does this itself is in docs/adr/0023. Source: OCI distribution-spec 1.1, image-spec 1.1 (layout, index, manifest).
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

from caasctl import remote
from caasctl.formats import FormatError, parse_json
from caasctl.frozen import dataclass
from caasctl.model import CaasError
from caasctl.profile_packages import RegistrySpec
from caasctl.protocol import Reader
from caasctl.syntax.image_name import Image

_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
_MAX_MANIFEST = 4 << 20  # the distribution-spec's own limit
_TRIES = 4
_OK, _PARTIAL, _UNAUTHORIZED, _NOT_FOUND = 200, 206, 401, 404
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Part:
    """A blob. size: bytes. data: of a manifest, which is fetched to know the others; b"" of a blob that is still to come."""

    media: str
    digest: str
    size: int
    data: bytes = dataclasses.field(default=b"", repr=False)


@dataclass(frozen=True)
class Found:
    """An image for one architecture. top: what its name stands for, an index or the manifest itself. source: who has it."""

    image: Image
    top: Part
    parts: tuple[Part, ...]
    source: Source

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


@dataclasses.dataclass
class Source:
    """base: address up to and with /v2. ca: PEM, beside the system's. registry: whom a mirror is asked for."""

    base: str
    ca: str = dataclasses.field(default="", repr=False)
    registry: str = ""
    _token: str = dataclasses.field(default="", repr=False)

    @contextmanager
    def ask(self, path: str, headers: Mapping[str, str]) -> Iterator[remote.Reply]:
        """Of status 200 or 206; with the token that it asks for. Raises CaasError."""
        url = f"{self.base}/{path}" + (f"?{urlencode({'ns': self.registry})}" if self.registry else "")
        for again in (True, False):
            try:
                with remote.asked(url, {**headers, **self._authorization()}, ca=self.ca) as reply:
                    if reply.status == _UNAUTHORIZED and again:
                        challenge = reply.headers.get("www-authenticate", "")
                    elif reply.status not in (_OK, _PARTIAL):
                        raise _refused(url, reply.status)
                    else:
                        yield reply
                        return
            except (OSError, ValueError) as error:
                raise _silent(url, error) from error
            self._fetch_token(url, challenge)

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _fetch_token(self, url: str, challenge: str) -> None:
        """An anonymous one: what only a user may have is mirrored by the user."""
        told = dict(_CHALLENGE.findall(challenge))
        if not challenge.lower().startswith("bearer") or not told.get("realm", "").startswith(("https://", "http://")):
            raise _refused(url, _UNAUTHORIZED)
        query = urlencode({name: told[name] for name in ("service", "scope") if name in told})
        try:
            with remote.asked(f"{told['realm']}?{query}", {}, ca=self.ca) as reply:
                said = parse_json(_whole(reply, url).decode("utf-8", "replace"), told["realm"])
        except (OSError, ValueError, FormatError) as error:
            raise _refused(url, _UNAUTHORIZED) from error
        self._token = str(said.get("token") or said.get("access_token") or "") if isinstance(said, dict) else ""


def sources(host: Reader, registries: Mapping[str, RegistrySpec], image: Image) -> tuple[Source, ...]:
    """The profile's mirrors, then the registry itself. Raises Unreadable."""
    spec = registries.get(image.registry) or registries.get("_default")
    ca = (host.read(spec.ca) or "") if spec and spec.ca else ""
    mirrors = tuple(one.rstrip("/") for one in spec.mirrors) if spec else ()
    whole = bool(spec and spec.overridePath)
    bases = (one if whole or one.endswith("/v2") else f"{one}/v2" for one in mirrors)
    own = Source(f"https://{image.host}/v2", ca if spec and not mirrors else "")
    return (*(Source(base, ca, image.registry) for base in bases), own)


def find(image: Image, architecture: str, sources: tuple[Source, ...]) -> Found:
    """The image for Linux on an architecture (amd64, arm64), of the first source that has it. Raises CaasError."""
    trouble: list[CaasError] = []
    for source in sources:
        try:
            return _found(image, architecture, source)
        except CaasError as error:
            trouble.append(error)
    said = "; ".join(f"{error.problem}: {error.cause}" for error in trouble)
    raise CaasError(f"the image {image.names[0]} could not be had", cause=said, fix=trouble[-1].fix) from trouble[-1]


def _found(image: Image, architecture: str, source: Source) -> Found:
    top = _manifest(image, image.reference, source)
    if top.media not in _INDEXES:
        return Found(image, top, (top, *_blobs(top)), source)
    for entry in _listed(_read(top), "manifests"):
        platform = entry.get("platform") or {}
        if (platform.get("os"), platform.get("architecture")) == ("linux", architecture):
            one = _manifest(image, str(entry.get("digest")), source)
            return Found(image, top, (top, one, *_blobs(one)), source)
    raise CaasError(f"{image.names[0]} has nothing for linux/{architecture}", cause=f"{source.base} gives it for other machines only",
                    fix="name an image that is made for this architecture")  # fmt: skip


def _manifest(image: Image, reference: str, source: Source) -> Part:
    path = f"{image.repository}/manifests/{quote(reference, safe=':')}"
    with source.ask(path, {"Accept": ", ".join((*_INDEXES, *_MANIFESTS))}) as reply:
        data = _whole(reply, path)
        media = reply.headers.get("content-type", "").partition(";")[0].strip()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if reference.startswith("sha256:") and reference != digest:
        raise _spoilt(reference, source)
    return Part(media, digest, len(data), data)


def _whole(reply: remote.Reply, what: str) -> bytes:
    data = b""
    for block in reply.blocks:
        data += block
        if len(data) > _MAX_MANIFEST:
            raise CaasError(
                f"{what} is larger than {_MAX_MANIFEST >> 20} MiB", cause="no manifest is", fix="see what answers there"
            )
    return data


def _read(part: Part) -> Mapping[str, Any]:
    try:
        data = parse_json(part.data.decode("utf-8", "replace"), part.digest)
    except FormatError:
        data = None
    if not isinstance(data, dict):
        raise CaasError(f"{part.digest} is no manifest", cause="it is no JSON object", fix="see what answers there")
    return data


def _listed(data: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    found = data.get(key)
    yield from (entry for entry in found if isinstance(entry, dict)) if isinstance(found, list) else ()


def _blobs(manifest: Part) -> tuple[Part, ...]:
    data = _read(manifest)
    config = data.get("config")
    entries = [*([config] if isinstance(config, dict) else ()), *_listed(data, "layers")]
    parts = [Part(str(one.get("mediaType")), str(one.get("digest")), int(one.get("size") or 0)) for one in entries]
    if not parts or any(not re.fullmatch(r"sha256:[0-9a-f]{64}", part.digest) for part in parts):
        raise CaasError(f"{manifest.digest} names no layers by their SHA-256", cause="containerd could not check them either",
                        fix="name an image in the OCI format, or Docker's of schema 2")  # fmt: skip
    return tuple({part.digest: part for part in parts}.values())


def content(found: Found, part: Part) -> Iterator[bytes]:
    """A part's bytes, gone on with where the connection broke, and right by size and digest at the end. Raises CaasError."""
    if part.data:
        yield part.data
        return
    done, told, path = 0, hashlib.sha256(), f"{found.image.repository}/blobs/{part.digest}"
    for left in range(_TRIES, 0, -1):
        try:
            with found.source.ask(path, {"Range": f"bytes={done}-"} if done else {}) as reply:
                if done and reply.status != _PARTIAL:
                    raise _broken(done)
                for block in reply.blocks:
                    done += len(block)
                    told.update(block)
                    yield block
        except CaasError:
            if left == 1 or not done:
                raise
        if done >= part.size:
            break
    if done < part.size:
        raise _broken(done)
    if done != part.size or f"sha256:{told.hexdigest()}" != part.digest:
        raise _spoilt(part.digest, found.source)


def _broken(done: int) -> CaasError:
    return CaasError("the connection broke off", cause=f"after {done >> 20} MiB, and the registry does not go on from there",
                     fix="run the same command again")  # fmt: skip


def _refused(url: str, status: int) -> CaasError:
    if status == _UNAUTHORIZED:
        return CaasError(f"{url} wants a user", cause="it answers 401 to whoever has none",
                         fix="copy the image to a registry of yours, and name that in spec.containerd.registries as a mirror")  # fmt: skip
    cause = "there is none of that name there" if status == _NOT_FOUND else "it does not give it"
    return CaasError(
        f"{url} answers {status}", cause=cause, fix="check the image's name, or run the same command again later"
    )


def _silent(url: str, error: Exception) -> CaasError:
    return CaasError(f"{url} cannot be asked", cause=remote.words(error),
                     fix="name a proxy in spec.proxy.https, a mirror in spec.containerd.registries, or there the `ca` of one with a CA of its own; then run the same command again")  # fmt: skip


def _spoilt(digest: str, source: Source) -> CaasError:
    return CaasError(f"{digest} of {source.base} is not what its digest says",
                     cause="it was changed on the way, or the registry's or mirror's copy is spoilt",
                     fix="run the same command again; where it stays so, ask whoever runs that registry")  # fmt: skip
