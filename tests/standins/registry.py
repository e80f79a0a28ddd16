"""Stand-in for a registry: the pulling half of the OCI distribution API, over HTTP on loopback, strict, with images of a few bytes.

Source: opencontainers/distribution-spec spec.md 1.1 (end-1, end-2, end-3), image-spec 1.1; tokens as distribution's docs/spec/auth/token.md.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_PATH = re.compile(
    r"/v2/(?P<name>[a-z0-9]+(?:[._/-][a-z0-9]+)*)/(?P<kind>manifests|blobs)/(?P<reference>[A-Za-z0-9._:-]{1,140})"
)
_TOKEN = "a-token-for-everybody"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Image:
    """An index over one manifest for each architecture. blobs: digest -> (media type, content), manifests among them."""

    top: str
    blobs: dict[str, tuple[str, bytes]] = field(default_factory=dict)


def image(text: str = "hello", architectures: tuple[str, ...] = ("amd64", "arm64"), size_bytes: int = 0) -> Image:
    """size_bytes: of a second file in the layer, which does not get smaller by packing."""
    made = Image("")
    manifests = []
    for architecture in architectures:
        layer, plain = _layer(f"{text} {architecture}", size_bytes)
        config = _json({"architecture": architecture, "os": "linux", "config": {},
                        "rootfs": {"type": "layers", "diff_ids": [digest(plain)]}})  # fmt: skip
        parts = [_add(made, CONFIG, config), _add(made, LAYER, layer)]
        manifest = _json({"schemaVersion": 2, "mediaType": MANIFEST, "config": parts[0], "layers": parts[1:]})
        manifests.append({**_add(made, MANIFEST, manifest), "platform": {"architecture": architecture, "os": "linux"}})
    made.top = _add(made, INDEX, _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}))["digest"]
    return made


def _add(made: Image, kind: str, data: bytes) -> dict[str, Any]:
    made.blobs[digest(data)] = (kind, data)
    return {"mediaType": kind, "digest": digest(data), "size": len(data)}


def _layer(text: str, size_bytes: int) -> tuple[bytes, bytes]:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        noise = b"".join(hashlib.sha256(f"{text}{at}".encode()).digest() for at in range(size_bytes // 32))
        for name, data in (("hello.txt", text.encode()), *((("noise", noise),) if noise else ())):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return gzip.compress(out.getvalue(), mtime=0), out.getvalue()


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data).encode()


class Registry:
    """Serves for as long as it is entered. images: NAME:TAG -> image. requests: `METHOD PATH?QUERY` as they came.

    token: asks for one first. flip: digests of which one byte is wrong. cut: digests whose first answer breaks off half-way.
    """

    def __init__(self, images: Mapping[str, Image], *, token: bool = False, port: int = 0) -> None:
        self.images, self.token = dict(images), token
        self.requests: list[str] = []
        self.flip: set[str] = set()
        self.cut: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def __enter__(self) -> Registry:  # noqa: PYI034 - typing.Self is 3.11's
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def found(self, name: str, kind: str, reference: str) -> tuple[str, str, bytes] | None:
        """(digest, media type, content)."""
        for known, one in self.images.items():
            repository, _, tag = known.rpartition(":")
            sought = one.top if (reference, kind) == (tag, "manifests") else reference
            if repository == name and sought in one.blobs:
                media, data = one.blobs[sought]
                if (kind == "manifests") is (media in (INDEX, MANIFEST)):
                    return sought, media, data
        return None


def _handler(registry: Registry) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - a class for one registry
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's word
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            registry.requests.append(f"{self.command} {self.path}")
            url = urlsplit(self.path)
            if url.path == "/token":
                return self._token(parse_qs(url.query))
            if registry.token and self.headers.get("Authorization") != f"Bearer {_TOKEN}":
                asks = f'Bearer realm="{registry.url}/token",service="stand-in",scope="repository:any:pull"'
                return self._error(401, "UNAUTHORIZED", {"WWW-Authenticate": asks})
            if url.path in ("/v2", "/v2/"):
                return self._send(200, b"{}", {"Content-Type": "application/json"})
            asked = _PATH.fullmatch(url.path)
            if not asked:
                return self._error(404, "UNSUPPORTED")
            return self._answer(asked)

        def _answer(self, asked: re.Match[str]) -> None:
            found = registry.found(asked["name"], asked["kind"], asked["reference"])
            if not found:
                return self._error(404, "MANIFEST_UNKNOWN" if asked["kind"] == "manifests" else "BLOB_UNKNOWN")
            name, media, data = found
            accepted = ",".join(self.headers.get_all("Accept") or ["*/*"])
            if asked["kind"] == "manifests" and media not in accepted and "*/*" not in accepted:
                return self._error(404, "MANIFEST_UNKNOWN")
            if name in registry.flip:
                data = data[:-1] + bytes([data[-1] ^ 1])
            kind = media if asked["kind"] == "manifests" else "application/octet-stream"
            headers = {"Content-Type": kind, "Docker-Content-Digest": name}
            if name in registry.cut and self.command == "GET":
                registry.cut.discard(name)
                return self._break(data, headers)
            begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if begin and asked["kind"] == "blobs":
                at, size = int(begin[1]), len(data)
                return self._send(206, data[at:], {**headers, "Content-Range": f"bytes {at}-{size - 1}/{size}"})
            return self._send(200, data, headers)

        def _token(self, asked: Mapping[str, list[str]]) -> None:
            if asked.get("service") != ["stand-in"] or "scope" not in asked:
                return self._error(400, "UNAUTHORIZED")
            return self._send(200, _json({"token": _TOKEN}), {"Content-Type": "application/json"})

        def _error(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
            body = _json({"errors": [{"code": code, "message": "stand-in"}]})
            self._send(status, body, {"Content-Type": "application/json", **(headers or {})})

        def _send(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def _break(self, data: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(200)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True

    return Handler
