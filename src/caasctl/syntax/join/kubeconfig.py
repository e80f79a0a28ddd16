"""The part of a kubeconfig that kubeadm discovers a cluster by: server, CA, and a bootstrap token."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from caasctl import formats, x509
from caasctl.frozen import dataclass
from caasctl.model import UsageError
from caasctl.syntax.join import values

_SERVER = re.compile(r"https://(?P<host>[^/?#@\s]+?)(?P<port>:\d+)?/?")
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_MAKE_ONE = (
    "take the one that the cluster publishes, on a control plane: kubectl --kubeconfig /etc/kubernetes/admin.conf"
    " -n kube-public get configmap cluster-info -o jsonpath='{.data.kubeconfig}'"
)


@dataclass(frozen=True)
class Access:
    """endpoint: HOST:PORT. ca: PEM of one or more certificates. token: a bootstrap token, "" where there is none."""

    endpoint: str
    ca: str = field(repr=False)
    token: str = field(default="", repr=False)


def parse(text: str, what: str) -> Access:
    """What a kubeconfig says of its cluster and user; `what` names it in errors. Raises UsageError."""
    try:
        data = formats.parse_yaml(text, what)
    except formats.FormatError as error:
        raise _wrong(what, "is not valid YAML") from error
    if not isinstance(data, Mapping) or not isinstance(data.get("clusters"), list):
        raise _wrong(what, "is no kubeconfig: it holds no list of clusters")
    names = _names(data)
    cluster = _named(data, "clusters", "cluster", names[0])
    user = _named(data, "users", "user", names[1]) if names[1] else {}
    if not cluster:
        raise _wrong(what, "names no cluster that it holds")
    ca = _ca(cluster, what)
    return Access(_endpoint(cluster, what), ca, _token(user, what))


def certificates(pem: str) -> tuple[x509.Certificate, ...]:
    """Every certificate of a PEM text. Raises x509.CertificateError."""
    return tuple(x509.parse(block, "the CA") for block in _BLOCK.findall(pem))


def hashes(pem: str) -> tuple[str, ...]:
    """The hash, as kubeadm has it, of each certificate in a PEM text. Raises x509.CertificateError."""
    return tuple(f"sha256:{certificate.spki_sha256}" for certificate in certificates(pem))


def _names(data: Mapping[str, Any]) -> tuple[str, str]:
    """(cluster, user) as kubeadm picks them: an unnamed cluster first, else those of the current context, else the only one."""
    clusters = [each.get("name", "") for each in data["clusters"] if isinstance(each, Mapping)]
    context = _named(data, "contexts", "context", data.get("current-context", ""))
    only = str(clusters[0]) if len(clusters) == 1 else ""
    cluster = "" if "" in clusters else str(context.get("cluster") or only)
    return cluster, str(context.get("user") or "")


def _named(data: Mapping[str, Any], many: str, one: str, name: str) -> Mapping[str, Any]:
    """The entry of that name; an empty mapping where there is none."""
    listed = data.get(many)
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, Mapping) and each.get("name", "") == name and isinstance(each.get(one), Mapping):
            return dict(each[one])
    return {}


def _endpoint(cluster: Mapping[str, Any], what: str) -> str:
    found = _SERVER.fullmatch(str(cluster.get("server") or ""))
    if not found:
        raise _wrong(what, "names no server of the form https://HOST:PORT")
    return values.endpoint(f"{found['host']}{found['port'] or ':443'}", f"{what}, server")


def _ca(cluster: Mapping[str, Any], what: str) -> str:
    """The CA as PEM; a kubeconfig without one proves nothing about whom it leads to."""
    data = cluster.get("certificate-authority-data")
    if cluster.get("insecure-skip-tls-verify") is True:
        raise _wrong(what, "says insecure-skip-tls-verify: whoever answers would be trusted")
    if not isinstance(data, str) or not data.strip():
        raise _wrong(what, "holds no certificate-authority-data: nothing would prove whom it leads to")
    try:
        pem = base64.b64decode("".join(data.split()), validate=True).decode("ascii")
        found = certificates(pem)
    except (binascii.Error, UnicodeDecodeError, x509.CertificateError) as error:
        raise _wrong(what, "has a certificate-authority-data that is no certificate") from error
    if not found:
        raise _wrong(what, "has a certificate-authority-data that is no certificate")
    return pem


def _token(user: Mapping[str, Any], what: str) -> str:
    if not user:
        return ""
    token = user.get("token")
    if not isinstance(token, str):
        raise UsageError(
            f"{what} has a user without a bootstrap token",
            cause="what a person or another node logs in with is no way for a new node to ask for its own certificate",
            fix=_MAKE_ONE,
        )
    return values.token(token, f"{what}, token of the user")


def _wrong(what: str, said: str) -> UsageError:
    return UsageError(f"{what} {said}", cause="a node joins by the server, the CA and the token that it finds there",
                      fix=_MAKE_ONE)  # fmt: skip
