"""A stand-in API server: real HTTPS on 127.0.0.1, its certificates made by openssl, anonymous requests answered as Kubernetes does.

What it shows and where that is from: cluster-info and its signatures (kubernetes/cluster-bootstrap token/jws, checked against
that package's own test vector in tests/syntax/test_join.py), 401, 403 and 404 as metav1.Status, /version, and the Date header
of Go's net/http.
"""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from caasctl.syntax.join import cluster_info, kubeconfig

CA_CONFIG = """[ca]
default_ca = main
[main]
new_certs_dir = {folder}
database = {folder}/index.txt
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
"""


@dataclass(frozen=True)
class Authority:
    """A cluster's CA in a folder of its own."""

    folder: Path

    @property
    def pem(self) -> str:
        return (self.folder / "ca.crt").read_text()

    @property
    def hash(self) -> str:
        return kubeconfig.hashes(self.pem)[0]

    @classmethod
    def make(cls, folder: Path) -> Authority:
        folder.mkdir(parents=True)
        (folder / "index.txt").touch()
        (folder / "ca.cnf").write_text(CA_CONFIG.format(folder=folder))
        openssl(folder, "req", "-x509", *_key("ca"), "-out", "ca.crt", "-days", "10", "-subj", "/CN=kubernetes",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
        return cls(folder)

    def issue(
        self, name: str, sans: str, start: str = "20200101000000Z", end: str = "20490101000000Z"
    ) -> tuple[Path, Path]:
        """(certificate, key) of a server for `sans`, valid between two times."""
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={sans}\nextendedKeyUsage=serverAuth\n")
        openssl(self.folder, "req", *_key(name), "-out", f"{name}.csr", "-subj", "/CN=kube-apiserver")
        openssl(self.folder, "ca", "-batch", "-config", "ca.cnf", "-cert", "ca.crt", "-keyfile", "ca.key", "-in", f"{name}.csr",
                "-out", f"{name}.crt", "-notext", "-startdate", start, "-enddate", end, "-extfile", f"{name}.ext")  # fmt: skip
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"


def _key(name: str) -> tuple[str, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@dataclass
class Cluster:
    """What the API server says. tokens: those that sign. server: the one in cluster-info, "" for this one."""

    ca: str
    tokens: tuple[str, ...] = ()
    server: str = ""
    version: str = "v1.36.4"
    status: int = 200
    clock_s: float = 0
    hangs_s: float = 0
    body: str | None = None
    asked: list[str] = field(default_factory=list)

    def kubeconfig(self, port: int) -> str:
        data = base64.b64encode(self.ca.encode()).decode()
        server = self.server or f"127.0.0.1:{port}"
        return (
            f"apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {data}\n    server: https://{server}\n"
            '  name: ""\ncontexts: null\ncurrent-context: ""\nkind: Config\nusers: null\n'
        )

    def cluster_info(self, port: int) -> str:
        config = self.kubeconfig(port)
        signed = {f"jws-kubeconfig-{t.partition('.')[0]}": cluster_info.signature(t, config) for t in self.tokens}
        data = {"kind": "ConfigMap", "apiVersion": "v1", "data": {**signed, "kubeconfig": config}}
        return json.dumps(data) if self.body is None else self.body


class Handler(BaseHTTPRequestHandler):
    cluster: ClassVar[Cluster]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        cluster = self.cluster
        cluster.asked.append(f"{self.path} {dict(self.headers)}")
        time.sleep(cluster.hangs_s)
        if self.path == "/version":
            self._say(200, json.dumps({"major": "1", "gitVersion": cluster.version}))
        elif self.path == cluster_info.PATH and cluster.status == 200:
            self._say(200, cluster.cluster_info(self.connection.getsockname()[1]))
        else:
            code = cluster.status if self.path == cluster_info.PATH else 404
            self._say(code, json.dumps({"kind": "Status", "status": "Failure", "code": code}))

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate((timestamp or time.time()) + self.cluster.clock_s, usegmt=True)

    def _say(self, code: int, body: str) -> None:
        data = body.encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that gives up is what some tests are about."""


@contextmanager
def serving(cluster: Cluster, certificate: tuple[Path, Path] | None) -> Iterator[int]:
    """The port on 127.0.0.1 where the cluster answers, with TLS unless there is no certificate."""
    handler = type("Bound", (Handler,), {"cluster": cluster})
    server = _Server(("127.0.0.1", 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
