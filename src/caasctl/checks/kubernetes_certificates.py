"""Certificates of this node's cluster: in time, for the addresses that are called, with a CA that can issue more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from caasctl.facts.kubernetes_certificates import PKI, Kubeconfigs, NodeCertificate, NodeCertificates
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.os_clock import Clock
from caasctl.model import Check, Evidence, Facts, Finding, Fix, check, failed, passed, warned
from caasctl.profile import NodeProfile

_SOON = timedelta(days=30)
_SLACK = timedelta(minutes=1)  # the clock is read to the second, and a certificate may have been made since
_SERVING = f"{PKI}/apiserver.crt"
_RENEW = "kubeadm certs renew all"
_RESTART = "crictl rmp -f $(crictl pods -q --namespace kube-system --label tier=control-plane)"
_KUBELETS = "/var/lib/kubelet/pki/"


@check(
    "kubernetes.certificates",
    "The cluster's certificates are in time and name what is called",
    reads=(NodeCertificates, Kubeconfigs, Clock),
    why="Everything in a cluster calls everything by TLS: `x509: certificate has expired or is not yet valid`.",
    fix="kubeadm certs renew all, then start the control plane's pods anew.",
    source="https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/; kubernetes#58921",
    gates=("cilium",),
)
def certificates(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """/etc/kubernetes/pki/*.crt and etcd/*.crt, the client certificates of the kubeconfigs, the clock; no private key is read."""
    pki, configs = facts[NodeCertificates], facts.get(Kubeconfigs)
    kubeconfigs = configs.found.values() if configs else ()
    clients = [one.client for one in kubeconfigs if one.client and one.path.startswith("/etc/kubernetes/")]
    every = [*pki.found, *clients]
    if not every:
        return
    now = facts[Clock].now
    bad = [*(finding for one in every if (finding := _judge(one, now))), *_names(facts), *_authority(facts)]
    yield from bad
    if not bad:
        ends = min(one.certificate.not_after for one in every if one.certificate)
        yield passed(f"{len(every)} certificates, the first ends {ends.date()}")


def _judge(one: NodeCertificate, now: datetime) -> Finding | None:
    found = one.certificate
    if found is None:
        return failed(one.broken, wanted="a certificate", subject=one.path, fix=_renew(one.path))
    if now + _SLACK < found.not_before:
        return failed(f"valid from {found.not_before:%Y-%m-%d %H:%M}, the clock says {now:%Y-%m-%d %H:%M}", wanted="in time",
                      subject=one.path, fix=Fix("chronyc makestep, or timedatectl set-time"),
                      cause="The host's clock is behind: `certificate has expired or is not yet valid`.")  # fmt: skip
    if found.not_after < now:
        return failed(f"expired {found.not_after.date()}", wanted="in time", subject=one.path, fix=_renew(one.path))
    if found.not_after < now + _SOON:
        return warned(f"ends {found.not_after.date()}", wanted="30 days or more", subject=one.path, fix=_renew(one.path),
                      cause="kubeadm renews them in an upgrade only; a kubelet renews its own while it runs.")  # fmt: skip
    return None


def _renew(path: str) -> Fix:
    if path.startswith(_KUBELETS):
        return Fix("systemctl restart kubelet")
    name = path.removeprefix("/etc/kubernetes/")
    if name == "kubelet.conf":
        return Fix("kubeadm kubeconfig user --org system:nodes --client-name system:node:$(hostname) > /etc/kubernetes/kubelet.conf"
                   " && systemctl restart kubelet")  # fmt: skip
    if path.endswith(("/ca.crt", "front-proxy-ca.crt")):
        return Fix("rotate the CA by hand: https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/")
    return Fix(f"{_RENEW} && {_RESTART}")


def _names(facts: Facts) -> Iterator[Finding]:
    """Addresses that this node's programs call, against the names in the API server's certificate."""
    serving = facts[NodeCertificates].at(_SERVING)
    planes, configs = facts.get(ControlPlane), facts.get(Kubeconfigs)
    if serving is None:
        return
    advertised = planes.arguments.get("kube-apiserver", {}).get("advertise-address", "") if planes else ""
    called = {advertised: "the API server's advertise-address"}
    for config in configs.found.values() if configs else ():
        called.setdefault(urlsplit(config.server).hostname or "", config.path)
    for name, who in called.items():
        if name and name.lower() not in {known.lower() for known in serving.names}:
            yield failed(
                f"valid for {', '.join(serving.names)}, not {name}",
                wanted=f"{name}, as in {who}",
                subject=_SERVING,
                cause=f"`x509: certificate is valid for {', '.join(serving.names[:2])}, not {name}`.",
                fix=Fix(f"{name} in spec.kubernetes.apiServerCertSANs and kubeadm-config, then: mv {_SERVING} {_SERVING}.old &&"
                        f" mv {PKI}/apiserver.key {PKI}/apiserver.key.old && kubeadm init phase certs apiserver && {_RESTART}"),
                evidence=(Evidence(_SERVING, f"subjectAltName: {', '.join(serving.names)}"),),
            )  # fmt: skip


def _authority(facts: Facts) -> Iterator[Finding]:
    pki, planes = facts[NodeCertificates], facts.get(ControlPlane)
    if planes and "kube-apiserver" in planes.arguments and not pki.ca_key and pki.at(f"{PKI}/ca.crt"):
        yield warned(
            "no ca.key",
            wanted=f"{PKI}/ca.key, or a CA that is kept elsewhere on purpose",
            subject=f"{PKI}/ca.key",
            cause="Without it kubeadm renews nothing, and the controller manager signs no new node's certificate.",
            fix=Fix(f"put the CA's key back as {PKI}/ca.key, mode 0600"),
        )


CHECKS: tuple[Check, ...] = (certificates,)
