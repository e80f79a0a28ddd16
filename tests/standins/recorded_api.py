"""A stand-in API server that replays recorded objects to the real kubectl over TLS: GETs only, discovery included.

Strict: whatever else it is asked is noted in `refused`, for the test
to see. Secrets are among what it does not have. Sources: Kubernetes' discovery (APIGroupList, APIResourceList) and lists.
"""

from __future__ import annotations

import base64
import json
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import yaml
from tests.lab import kubectl
from tests.standins.api_server import Authority

from caasctl.host import LiveHost
from caasctl.host.processes import query
from caasctl.protocol import Completed
from caasctl.syntax.kubeadm import ADMIN, KUBELET_CONF

RECORDINGS = Path(__file__).parents[1] / "recordings"
Object = dict[str, Any]
KINDS = {  # version -> resource -> (kind, namespaced)
    "v1": {"nodes": ("Node", False), "pods": ("Pod", True), "events": ("Event", True), "services": ("Service", True),
           "persistentvolumeclaims": ("PersistentVolumeClaim", True), "configmaps": ("ConfigMap", True)},
    "apps/v1": {"daemonsets": ("DaemonSet", True), "deployments": ("Deployment", True)},
    "node.k8s.io/v1": {"runtimeclasses": ("RuntimeClass", False)},
    "storage.k8s.io/v1": {"storageclasses": ("StorageClass", False)},
    "discovery.k8s.io/v1": {"endpointslices": ("EndpointSlice", True)},
    "cilium.io/v2": {"ciliumnodes": ("CiliumNode", False)},
}  # fmt: skip


def name_of(item: Object) -> str:
    """As `Pod kube-system/coredns`, `Node node1`."""
    return f"{item['kind']} {'/'.join(filter(None, (item['metadata'].get('namespace'), item['metadata']['name'])))}"


def described(name: str) -> dict[str, Any]:
    """objects; files: path -> text, of the host; expected: check -> worst level, where it is not pass."""
    return yaml.safe_load((RECORDINGS / name / "objects.yaml").read_text())  # type: ignore[no-any-return]


def files_of(name: str) -> dict[str, str]:
    """Files of the host, its own over those of the one that it is made `from`."""
    data = described(name)
    return {**(files_of(data["from"]) if "from" in data else {}), **data.get("files", {})}


def recorded(name: str) -> list[Object]:
    """The objects of a recording: its own, over those of the one that it is made `from`, without those `gone`."""
    data = described(name)
    found = {name_of(item): item for item in (recorded(data["from"]) if "from" in data else ())}
    for gone in data.get("gone", ()):
        del found[gone]
    return list({**found, **{name_of(item): item for item in data["objects"]}}.values())


@dataclass
class Api:
    """asked: paths. refused: what it does not answer."""

    objects: list[Object]
    asked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def answer(self, path: str, selector: str) -> Object | None:
        """None for what it is not made for; an object that is not there is answered as such."""
        parts = path.strip("/").split("/")
        if parts == ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        if parts == ["apis"]:
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(v) for v in KINDS if "/" in v]}
        version, rest = ("/".join(parts[1:3]), parts[3:]) if parts[0] == "apis" else (parts[1], parts[2:])
        if version not in KINDS:
            return None
        return self._of(version, rest, selector) if rest else _resources(version)

    def _of(self, version: str, rest: list[str], selector: str) -> Object | None:
        if rest[0] == "namespaces" and len(rest) == 2:
            return {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": rest[1]}}
        namespace, rest = (rest[1], rest[2:]) if rest[0] == "namespaces" else ("", rest)
        if rest[0] not in KINDS[version]:
            return None
        kind, _ = KINDS[version][rest[0]]
        found = [
            one for one in self.objects if one["kind"] == kind and namespace in ("", one["metadata"].get("namespace"))
        ]
        if len(rest) > 1:
            absent = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
                      "message": f'{rest[0]} "{rest[1]}" not found', "details": {"name": rest[1], "kind": rest[0]}}  # fmt: skip
            return next((one for one in found if one["metadata"]["name"] == rest[1]), absent)
        chosen = [one for one in found if _fits(one, selector)]
        return {"kind": f"{kind}List", "apiVersion": version, "metadata": {"resourceVersion": "1"}, "items": chosen}


def _fits(item: Object, selector: str) -> bool:
    path, _, wanted = selector.partition("=")
    value: Any = item
    for key in path.split(".") if path else ():
        value = value.get(key, "")
    return not path or value == wanted


def _group(version: str) -> Object:
    served = {"groupVersion": version, "version": version.partition("/")[2]}
    return {"name": version.partition("/")[0], "versions": [served], "preferredVersion": served}


def _resources(version: str) -> Object:
    listed = [{"name": name, "singularName": kind.lower(), "namespaced": inside, "kind": kind, "verbs": ["get", "list"]}
              for name, (kind, inside) in KINDS[version].items()]  # fmt: skip
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": listed}


class Handler(BaseHTTPRequestHandler):
    api: ClassVar[Api]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.api.asked.append(url.path)
        found = self.api.answer(url.path, parse_qs(url.query).get("fieldSelector", [""])[0])
        if found is None:
            self.refuse()
        else:
            self._say(found.get("code", 200), found)

    def refuse(self) -> None:
        self.api.refused.append(f"{self.command} {self.path}")
        self._say(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
                        "message": "the server could not find the requested resource"})  # fmt: skip

    do_POST = do_PUT = do_PATCH = do_DELETE = refuse  # noqa: N815 - names of http.server

    def _say(self, code: int, body: Object) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: Api

    def handle_error(self, *_: Any) -> None:
        """A client that goes is none; what this stand-in cannot do is seen by the test."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.api.refused.append(repr(error))


@contextmanager
def serving(api: Api, folder: Path) -> Iterator[str]:
    """Over TLS on 127.0.0.1: the text of a kubeconfig for it."""
    authority = Authority.make(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("apiserver", "IP:127.0.0.1"))
    server = _Server(("127.0.0.1", 0), type("Bound", (Handler,), {"api": api}))
    server.api = api
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield _kubeconfig(authority, server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _kubeconfig(authority: Authority, port: int) -> str:
    ca = base64.b64encode(authority.pem.encode()).decode()
    return json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "a", "users": [{"name": "u", "user": {"token": "recorded"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": ca}}],
        "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
    })  # fmt: skip


class Node(LiveHost):
    """A tree whose kubeconfig leads to the recorded API, asked by the real kubectl."""

    def __init__(self, root: Path, kubeconfig: str, *, worker: bool = False, name: str = "node1") -> None:
        super().__init__(str(root))
        self._kubectl = str(kubectl.fetch() / "usr/bin/kubectl")
        for path, text in ((KUBELET_CONF if worker else ADMIN, kubeconfig), ("/proc/sys/kernel/hostname", f"{name}\n")):
            (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            (root / path[1:]).write_text(text)

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        if argv[0] != "kubectl":
            return Completed(argv, 127, stderr=f"{argv[0]}: not found", missing=True)
        assert argv[3].startswith("--request-timeout="), argv
        return query((self._kubectl, argv[1], self.root + argv[2], *argv[3:]), timeout_s)
