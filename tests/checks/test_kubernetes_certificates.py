"""The check of a cluster's certificates, seen passing and failing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from caasctl.checks.kubernetes_certificates import certificates
from caasctl.facts.kubernetes_certificates import PKI, Kubeconfig, Kubeconfigs, NodeCertificate, NodeCertificates
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.os_clock import Clock
from caasctl.model import Facts, Finding, Level, findings
from caasctl.profile_load import load
from caasctl.x509 import Certificate

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
YEAR = timedelta(days=365)
SERVING = f"{PKI}/apiserver.crt"
GOOD = Certificate("kube-apiserver", "kubernetes", NOW - YEAR / 2, NOW + YEAR / 2, ("node", "192.0.2.2", "10.96.0.1"),
                   ca=False, spki_sha256="aa")  # fmt: skip
PLANE = ControlPlane({"kube-apiserver": {"advertise-address": "192.0.2.2"}})
SERVER = "https://192.0.2.2:6443"


def pki(serving: Certificate | None = GOOD, *, ca_key: bool = True, broken: str = "") -> NodeCertificates:
    ca = replace(GOOD, ca=True, not_after=NOW + 9 * YEAR)
    return NodeCertificates((NodeCertificate(SERVING, serving, broken), NodeCertificate(f"{PKI}/ca.crt", ca)), ca_key)


def configs(client: Certificate = GOOD, server: str = SERVER, path: str = "/etc/kubernetes/admin.conf") -> Kubeconfigs:
    return Kubeconfigs({path: Kubeconfig(path, server, "aa", NodeCertificate(path, client))})


def judge(*facts: object) -> list[Finding]:
    return list(findings(certificates, Facts((Clock(NOW), *facts)), load("single-node", ())))


def one(*facts: object) -> Finding:
    (found,) = judge(*facts)
    return found


def text(found: Finding) -> str:
    return found.fix.text if found.fix else ""


def test_certificates_in_time_for_the_right_names_pass() -> None:
    found = one(pki(), configs(), PLANE)
    assert (found.level, found.found) == (Level.PASS, "3 certificates, the first ends 2027-05-26")


def test_a_node_without_any_says_nothing() -> None:
    assert judge(NodeCertificates(), Kubeconfigs()) == []


@pytest.mark.parametrize(
    ("certificate", "level", "said"),
    [
        (replace(GOOD, not_after=NOW - YEAR / 4), Level.FAIL, "expired 2026-08-25"),
        (replace(GOOD, not_after=NOW + timedelta(days=9)), Level.WARN, "ends 2026-12-03"),
        (
            replace(GOOD, not_before=NOW + timedelta(hours=3)),
            Level.FAIL,
            "valid from 2026-11-24 15:00, the clock says 2026-11-24 12:00",
        ),
    ],
)
def test_a_certificate_out_of_time(certificate: Certificate, level: Level, said: str) -> None:
    found = one(pki(certificate), configs(), PLANE)
    assert (found.level, found.found, found.subject) == (level, said, SERVING)


def test_a_certificate_that_was_made_while_the_host_was_looked_at_is_in_time() -> None:
    just_made = replace(GOOD, not_before=NOW + timedelta(seconds=5))
    assert one(pki(just_made), configs(), PLANE).level is Level.PASS


def test_what_is_out_of_time_is_renewed_by_whoever_keeps_it() -> None:
    old = replace(GOOD, not_after=NOW - YEAR / 4)
    assert text(one(pki(old), PLANE)).startswith("kubeadm certs renew all && crictl rmp")
    kubelet = "/var/lib/kubelet/pki/kubelet-client-current.pem"
    rotated = Kubeconfig("/etc/kubernetes/kubelet.conf", SERVER, "aa", NodeCertificate(kubelet, old), rotated=True)
    assert text(one(pki(), Kubeconfigs({rotated.path: rotated}), PLANE)) == "systemctl restart kubelet"
    embedded = configs(old, path="/etc/kubernetes/kubelet.conf")
    assert text(one(pki(), embedded, PLANE)).startswith("kubeadm kubeconfig user")


def test_a_broken_file_fails() -> None:
    found = one(pki(None, broken="holds no certificate"), configs(), PLANE)
    assert (found.level, found.found) == (Level.FAIL, "holds no certificate")


@pytest.mark.parametrize(
    ("plane", "server", "name"),
    [(PLANE, "https://api.example:6443", "api.example"),
     (ControlPlane({"kube-apiserver": {"advertise-address": "198.51.100.7"}}), SERVER, "198.51.100.7")],
)  # fmt: skip
def test_an_address_that_the_api_server_is_not_certified_for_fails(plane: ControlPlane, server: str, name: str) -> None:
    found = one(pki(), configs(server=server), plane)
    assert (found.level, found.subject) == (Level.FAIL, SERVING)
    assert found.found == f"valid for node, 192.0.2.2, 10.96.0.1, not {name}"
    assert "certificate is valid for" in found.cause


def test_another_cluster_s_kubeconfig_of_root_is_not_judged() -> None:
    expired = replace(GOOD, not_after=NOW - YEAR / 4)
    assert one(pki(), configs(expired, path="/root/.kube/config"), PLANE).level is Level.PASS


def test_a_control_plane_without_its_ca_s_key_warns() -> None:
    found = one(pki(ca_key=False), configs(), PLANE)
    assert (found.level, found.found) == (Level.WARN, "no ca.key")
    assert one(pki(ca_key=False), configs(), ControlPlane()).level is Level.PASS
