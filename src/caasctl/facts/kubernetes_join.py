"""The control plane that this node is to join, as it is seen from here, and what a control plane that joins needs on disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from caasctl import formats, remote
from caasctl.frozen import dataclass
from caasctl.model import CaasError, Unreadable
from caasctl.profile import Join
from caasctl.protocol import Probe, Reader
from caasctl.remote import Answer
from caasctl.syntax.join import cluster_info, kubeconfig
from caasctl.syntax.join.values import split

DEADLINE_S = 12.0
ENCRYPTION = "/etc/kubernetes/caasctl/encryption.yaml"
_PKI = "/etc/kubernetes/pki"
# What kubeadm wants in place where it is given no certificate key, and what it downloads where it is.
SHARED = tuple(
    f"{_PKI}/{name}"
    for name in ("ca.crt", "ca.key", "sa.key", "sa.pub", "front-proxy-ca.crt", "front-proxy-ca.key", "etcd/ca.crt", "etcd/ca.key")
)  # fmt: skip


@dataclass(frozen=True)
class JoinTarget:
    """Nothing is looked at, and `first` is None, but in join-node.

    first: how the API server answers GET cluster-info, unverified. wrong: what of cluster-info cannot be used. ca_hashes:
    of the CAs that it names (of the discovery file's, where there is one). trusted: whether one of them is as the user
    said. signed: whether cluster-info is signed by the token, None where by none of its id; only where `listed`, it could
    be read. proven: how it answers GET /version by that CA. named: the same of the server that cluster-info names, where
    that is another. version: as v1.36.4, "" where it is not told. exposed: the token file, where others may read it.
    """

    first: Answer | None = None
    wrong: str = ""
    ca_hashes: tuple[str, ...] = ()
    trusted: bool = False
    listed: bool = False
    signed: bool | None = None
    proven: Answer | None = None
    named: Answer | None = None
    version: str = ""
    exposed: str = ""


@dataclass(frozen=True)
class JoinFiles:
    """encryption: the key for secrets in etcd is in place. missing: which of the certificates that control planes share are not."""

    encryption: bool = False
    missing: tuple[str, ...] = ()


def look(join: Join, exposed: str = "", deadline_s: float = DEADLINE_S) -> JoinTarget:
    """Asks the API server as kubeadm does: first without verification, then by the CA that the first answer proved to know."""
    until = time.monotonic() + deadline_s

    def ask(address: str, path: str, ca: str = "") -> Answer:
        host, port = split(address)
        return remote.get(host, port, path, ca=ca, timeout_s=max(0.5, until - time.monotonic()))

    first = ask(join.endpoint, cluster_info.PATH)
    found = _of_cluster_info(replace(JoinTarget(exposed=exposed), first=first), join)
    ca, server = _way_on(first, join)
    if not ca or not found.trusted:
        return _slim(found)
    proven = ask(join.endpoint, "/version", ca)
    named = ask(server, "/version", ca) if server not in ("", join.endpoint) and proven.status else None
    return _slim(replace(found, proven=proven, named=named, version=parse_version(proven.body)))


def _of_cluster_info(blank: JoinTarget, join: Join) -> JoinTarget:
    """All that the first answer tells; a discovery file's CA needs none."""
    text = blank.first.body if blank.first and blank.first.status == 200 else ""  # noqa: PLR2004 - OK
    try:
        info = cluster_info.parse(text) if text else None
        hashes = kubeconfig.hashes(join.ca or (info.access.ca if info else ""))
    except CaasError as error:
        return replace(blank, wrong=error.problem)
    trusted = bool(set(hashes) & set(join.ca_hashes)) or bool(join.ca and not join.ca_hashes)
    signed = cluster_info.signed_by(info, join.token) if info else None
    return replace(blank, ca_hashes=hashes, trusted=trusted, listed=info is not None, signed=signed)


def _way_on(first: Answer, join: Join) -> tuple[str, str]:
    """(CA, server) of cluster-info; the discovery file's own CA where there is one."""
    try:
        access = cluster_info.parse(first.body).access
    except CaasError:
        return join.ca, ""
    return join.ca or access.ca, access.endpoint


def _slim(found: JoinTarget) -> JoinTarget:
    """Without bodies: what matters of them is in the fact."""
    bare = [answer and replace(answer, body="") for answer in (found.first, found.proven, found.named)]
    return replace(found, first=bare[0], proven=bare[1], named=bare[2])


def parse_version(text: str) -> str:
    """The gitVersion of an API server's /version; "" where there is none."""
    try:
        data = formats.parse_json(text, "/version")
    except formats.FormatError:
        return ""
    version = data.get("gitVersion") if isinstance(data, dict) else None
    return version if isinstance(version, str) else ""


def probe(read: Callable[[], JoinTarget]) -> Probe:
    """For a run of join-node: looks whenever facts are collected."""
    return Probe(JoinTarget, lambda _host: read())


def elsewhere(_host: Reader) -> JoinTarget:
    """For a recorded host or a tree. Raises Unreadable."""
    raise Unreadable("the API server", "can be asked only from the host that is to join")


def read_files(host: Reader) -> JoinFiles:
    return JoinFiles(
        host.stat(ENCRYPTION) is not None,
        tuple(path for path in SHARED if host.stat(path) is None),
    )


PROBES: tuple[Probe, ...] = (Probe(JoinTarget, lambda _host: JoinTarget()), Probe(JoinFiles, read_files))
