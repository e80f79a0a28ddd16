"""Asks a containerd's CRI for one thing, to pull an image, as the kubelet does: gRPC by hand, since Debian has no crictl.

Source: RFC 9113 (frames), RFC 7541 6.2.2 (literal headers), grpc PROTOCOL-HTTP2.md, cri-api runtime/v1 api.proto (PullImageRequest).
"""

from __future__ import annotations

import socket
import struct
import time

_DATA, _HEADERS, _RST, _SETTINGS, _GOAWAY = 0, 1, 3, 4, 7
_ACK, _END_STREAM, _END_HEADERS = 1, 1, 4
_HEADER = 9


def pull(image: str, path: str = "/run/containerd/containerd.sock", timeout_s: float = 60) -> None:
    """Returns when the call has ended, however it did: what came of it is to be looked up."""
    with socket.socket(socket.AF_UNIX) as to:
        to.settimeout(timeout_s)
        to.connect(path)
        to.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(_SETTINGS, 0, 0, b""))
        to.sendall(_frame(_HEADERS, _END_HEADERS, 1, _headers()))
        to.sendall(_frame(_DATA, _END_STREAM, 1, _message(image)))
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            kind, flags, stream, _ = _read(to)
            if kind == _SETTINGS and not flags & _ACK:
                to.sendall(_frame(_SETTINGS, _ACK, 0, b""))
            if kind in (_RST, _GOAWAY) or (stream == 1 and kind in (_DATA, _HEADERS) and flags & _END_STREAM):
                return
        raise TimeoutError(image)


def _message(image: str) -> bytes:
    name = image.encode()
    spec = b"\x0a" + _varint(len(name)) + name
    request = b"\x0a" + _varint(len(spec)) + spec
    return struct.pack(">BI", 0, len(request)) + request


def _headers() -> bytes:
    pairs = {":method": "POST", ":scheme": "http", ":path": "/runtime.v1.ImageService/PullImage", ":authority": "localhost",
             "content-type": "application/grpc", "te": "trailers"}  # fmt: skip
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in pairs.items())


def _text(value: str) -> bytes:
    return bytes([len(value)]) + value.encode()


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _read(of: socket.socket) -> tuple[int, int, int, bytes]:
    head = _exactly(of, _HEADER)
    size = int.from_bytes(head[:3], "big")
    kind, flags, stream = struct.unpack(">BBI", head[3:])
    return kind, flags, stream & 0x7FFFFFFF, _exactly(of, size)


def _exactly(of: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        block = of.recv(size - len(data))
        if not block:
            raise ConnectionError("containerd closed the connection")
        data += block
    return data
