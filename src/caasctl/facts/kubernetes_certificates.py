"""Certificates of a cluster on this node, and whom its kubeconfigs call; private keys are never read."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import field

from caasctl import x509
from caasctl.faults import is_root
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax.kubeadm import KUBECONFIG_WORDS, KUBECONFIGS, ask_kubeconfigs

PKI = "/etc/kubernetes/pki"
USER = "/root/.kube/config"
_FOLDERS = (PKI, f"{PKI}/etcd")


@dataclass(frozen=True)
class NodeCertificate:
    """broken: why the file is no certificate, "" where it is one."""

    path: str
    certificate: x509.Certificate | None = None
    broken: str = ""


@dataclass(frozen=True)
class NodeCertificates:
    """Of /etc/kubernetes/pki. ca_key: the CA's private key is there, as on every control plane but one with an external CA."""

    found: tuple[NodeCertificate, ...] = ()
    ca_key: bool = False

    def at(self, path: str) -> x509.Certificate | None:
        return next((one.certificate for one in self.found if one.path == path), None)


@dataclass(frozen=True)
class Kubeconfig:
    """server: its URL. ca: SubjectPublicKeyInfo of its CA as sha256 in hex, "" where it has none. client: its certificate.

    rotated: the certificate is the file that the kubelet renews, which kubeadm writes as one of its last steps.
    """

    path: str
    server: str = ""
    ca: str = ""
    client: NodeCertificate | None = None
    rotated: bool = False


@dataclass(frozen=True)
class Kubeconfigs:
    """Of this node, by path: kubeadm's in /etc/kubernetes and root's ~/.kube/config."""

    found: Mapping[str, Kubeconfig] = field(default_factory=dict)


def certificate(pem: str, path: str) -> NodeCertificate:
    try:
        return NodeCertificate(path, x509.parse(pem, path))
    except x509.CertificateError as error:
        return NodeCertificate(path, broken=error.problem.removeprefix(f"{path} "))


def parse_lines(text: str) -> dict[str, dict[str, str]]:
    """Settings by path and word, of `grep -H` on kubeconfigs: `/etc/kubernetes/admin.conf:    server: https://192.0.2.2:6443`."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        path, colon, setting = line.partition(":")
        word, _, value = setting.strip().partition(":")
        if colon and word in KUBECONFIG_WORDS:
            found.setdefault(path, {}).setdefault(word, value.strip().strip("\"'"))
    return found


def _embedded(data: str, what: str) -> NodeCertificate:
    try:
        return certificate(base64.b64decode(data, validate=True).decode("ascii"), what)
    except (binascii.Error, UnicodeDecodeError):
        return NodeCertificate(what, broken="is not base64 of a certificate")


def read_certificates(host: Reader) -> NodeCertificates:
    paths = [f"{folder}/{name}" for folder in _FOLDERS for name in host.list(folder) or () if name.endswith(".crt")]
    found = tuple(certificate(host.read(path) or "", path) for path in paths)
    return NodeCertificates(found, host.stat(f"{PKI}/ca.key") is not None)


def read_kubeconfigs(host: Reader) -> Kubeconfigs:
    """By grep, so that the private keys in these files are in no memory and no recording."""
    there = [path for path in (*KUBECONFIGS, USER) if host.stat(path)]
    if not there:
        return Kubeconfigs()
    told = parse_lines(host.query(*ask_kubeconfigs(there)).stdout)
    lost = [path for path in there if path not in told and path != USER]
    if lost:
        raise Unreadable(lost[0], f"permission denied{'' if is_root() else ' (needs root)'}, or no kubeconfig")
    return Kubeconfigs({path: _kubeconfig(host, path, words) for path, words in told.items()})


def _kubeconfig(host: Reader, path: str, words: Mapping[str, str]) -> Kubeconfig:
    ca = _embedded(words.get("certificate-authority-data", ""), path).certificate
    rotated = words.get("client-certificate", "")
    client = next(_clients(host, path, words, rotated), None)
    return Kubeconfig(path, words.get("server", ""), ca.spki_sha256 if ca else "", client, bool(rotated))


def _clients(host: Reader, path: str, words: Mapping[str, str], rotated: str) -> Iterator[NodeCertificate]:
    """The file that the kubelet renews holds its key too: sed takes the certificate only."""
    if rotated:
        done = host.query("sed", "-n", "/BEGIN CERTIFICATE/,/END CERTIFICATE/p", rotated)
        yield certificate(done.stdout, rotated) if done.ok else NodeCertificate(rotated, broken="cannot be read")
    elif "client-certificate-data" in words:
        yield _embedded(words["client-certificate-data"], path)


PROBES: tuple[Probe, ...] = (Probe(NodeCertificates, read_certificates), Probe(Kubeconfigs, read_kubeconfigs))
