"""Each claim on the cluster that is to be joined, seen holding and failing; none of them where nothing is to be joined."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.checks.test_os import judge, only

from caasctl.checks import kubernetes_join as checks
from caasctl.checks import kubernetes_join_identity as identity
from caasctl.facts.kubernetes import Cluster
from caasctl.facts.kubernetes_join import SHARED, JoinFiles, JoinTarget
from caasctl.facts.kubernetes_tools import Tools
from caasctl.model import Check, Finding, Level
from caasctl.profile import Join, NodeProfile
from caasctl.profile_load import load
from caasctl.remote import Answer, Trouble

HASH, AT = "sha256:" + "a1" * 32, "192.0.2.10:6443"
JOIN = Join(AT, "abcdef.0123456789abcdef", (HASH,))
WORKER, CONTROL = replace(load("worker"), join=JOIN), replace(load("control-plane"), join=JOIN)
BY_FILE = replace(WORKER, join=replace(JOIN, ca="PEM", ca_hashes=(), discovery_file="/d"))
FIRST, PROVEN = Answer(AT, status=200, skew_s=0), Answer(AT, status=200, skew_s=0)
GOOD = JoinTarget(FIRST, "", (HASH,), trusted=True, listed=True, signed=True, proven=PROVEN, version="v1.36.2")
BLANK = Cluster()
NOTHING = Tools()
EVERY = (*checks.CHECKS, *identity.CHECKS)


def one(check: Check, seen: JoinTarget, tools: Tools = NOTHING, profile: NodeProfile = WORKER) -> Finding:
    return only(check, BLANK, seen, tools, profile=profile)


def fix_of(found: Finding) -> str:
    assert found.fix
    return found.fix.text


@pytest.mark.parametrize("check", EVERY, ids=lambda check: check.id)
def test_nothing_is_said_where_nothing_is_joined_or_it_has_joined(check: Check) -> None:
    there = (GOOD, JoinFiles(), NOTHING)
    assert judge(check, BLANK, *there, profile=load("worker")) == []
    assert judge(check, Cluster(kubelet_conf=True), *there, profile=CONTROL) == []


def test_a_join_that_was_killed_half_way_is_still_to_be_done() -> None:
    half = Cluster(kubelet_conf=True, bootstrap_conf=True)
    assert len(judge(checks.api_reachable, half, GOOD, profile=WORKER)) == 1


# -- reachable ---------------------------------------------------------------------------------------------------------
def test_an_answer_passes() -> None:
    assert one(checks.api_reachable, GOOD).level is Level.PASS


@pytest.mark.parametrize(
    ("trouble", "fix"),
    [
        (Trouble.NAME, "in DNS"),
        (Trouble.REFUSED, "crictl ps -a --name kube-apiserver"),
        (Trouble.NO_ROUTE, "ip route get 192.0.2.10"),
        (Trouble.SILENT, "open TCP port 6443"),
        (Trouble.CLOSED, "load balancer"),
        (Trouble.NOT_TLS, "something else listens on port 6443"),
        (Trouble.NOT_HTTP, "curl -k"),
        (Trouble.OTHER, "curl -k"),
    ],
)
def test_each_kind_of_silence_has_its_own_words(trouble: Trouble, fix: str) -> None:
    found = one(checks.api_reachable, JoinTarget(Answer(AT, trouble, "words")))
    assert (found.level, found.found, found.subject) == (Level.FAIL, trouble.value, AT)
    assert fix in fix_of(found)
    assert found.evidence[0].excerpt == "words"


def test_the_server_that_cluster_info_names_must_answer_too() -> None:
    seen = replace(GOOD, named=Answer("api.example.com:6443", Trouble.NAME, "not known"))
    failed, passed = judge(checks.api_reachable, BLANK, seen, profile=WORKER)
    assert (failed.level, failed.subject, passed.level) == (Level.FAIL, "api.example.com:6443", Level.PASS)
    assert "cluster-info names this server" in failed.cause


@pytest.mark.parametrize(
    ("status", "cause", "fix"),
    [
        (401, "--anonymous-auth=false", "--discovery-file"),
        (403, "kube-public", "init phase bootstrap-token"),
        (404, "not made by kubeadm", "init phase bootstrap-token"),
        (503, "not ready", "readyz"),
        (302, "not ready", "readyz"),
    ],
)
def test_an_api_server_that_gives_no_cluster_info(status: int, cause: str, fix: str) -> None:
    found = one(checks.api_reachable, JoinTarget(Answer(AT, status=status)))
    assert (found.level, found.found) == (Level.FAIL, f"HTTP {status} for cluster-info")
    assert cause in found.cause
    assert fix in fix_of(found)


@pytest.mark.parametrize("status", [401, 403])
def test_with_a_discovery_file_cluster_info_may_be_closed(status: int) -> None:
    seen = JoinTarget(Answer(AT, status=status))
    assert one(checks.api_reachable, seen, profile=BY_FILE).level is Level.PASS


# -- time --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("skew", "level"),
    [(0, Level.PASS), (30, Level.PASS), (-30, Level.PASS), (31, Level.WARN), (-300, Level.WARN), (301, Level.FAIL), (-301, Level.FAIL)],
)  # fmt: skip
def test_clocks(skew: int, level: Level) -> None:
    found = one(checks.api_time, replace(GOOD, first=replace(FIRST, skew_s=skew)))
    assert found.level is level
    assert ("behind" if skew > 0 else "ahead" if skew else "no difference") in found.found


def test_a_server_without_a_clock_is_unknown() -> None:
    assert one(checks.api_time, replace(GOOD, first=replace(FIRST, skew_s=None))).level is Level.UNKNOWN


# -- identity ----------------------------------------------------------------------------------------------------------
def test_the_cluster_that_was_meant_passes_with_its_hash() -> None:
    found = one(identity.api_identity, GOOD)
    assert (found.level, found.found) == (Level.PASS, HASH)


def test_another_ca_fails_with_both_hashes() -> None:
    other = "sha256:" + "00" * 32
    found = one(identity.api_identity, replace(GOOD, trusted=False, ca_hashes=(other,), proven=None))
    assert (found.level, found.found, found.wanted, found.subject) == (Level.FAIL, other, HASH, "CA")
    assert "openssl x509" in fix_of(found)


def test_a_wrong_secret_fails_by_the_signature() -> None:
    found = one(identity.api_identity, replace(GOOD, signed=False))
    assert (found.level, found.subject) == (Level.FAIL, "cluster-info")
    assert "failed to verify JWS signature" in found.cause


def test_a_cluster_info_that_cannot_be_used_fails() -> None:
    assert one(identity.api_identity, JoinTarget(FIRST, wrong="it is no JSON")).found == "it is no JSON"


@pytest.mark.parametrize(
    ("trouble", "found", "fix"),
    [
        (Trouble.EXPIRED, "its certificate has expired", "kubeadm certs renew"),
        (Trouble.NOT_YET, "its certificate is not yet valid", "set-ntp"),
        (Trouble.OTHER_NAME, "its certificate is for other names than 192.0.2.10", "certSANs"),
        (Trouble.OTHER_CA, "its certificate is not of the cluster's CA", "ends TLS"),
    ],
)
def test_what_a_certificate_says_against_its_server(trouble: Trouble, found: str, fix: str) -> None:
    seen = one(identity.api_identity, replace(GOOD, proven=Answer(AT, trouble, "words")))
    assert (seen.level, seen.found) == (Level.FAIL, found)
    assert fix in fix_of(seen)
    named = one(identity.api_identity, replace(GOOD, named=Answer("[2001:db8::1]:6443", trouble)))
    assert named.subject == "[2001:db8::1]:6443"


def test_a_server_that_was_not_asked_again_is_unknown() -> None:
    assert one(identity.api_identity, replace(GOOD, proven=None)).level is Level.UNKNOWN
    assert one(identity.api_identity, replace(GOOD, proven=Answer(AT, Trouble.SILENT))).level is Level.UNKNOWN


# -- versions ----------------------------------------------------------------------------------------------------------
def tools(kubelet: str = "", kubeadm: str = "") -> Tools:
    return Tools({"kubelet": kubelet, "kubeadm": kubeadm})


@pytest.mark.parametrize(
    ("there", "level", "subject"),
    [
        (tools("1.36.4", "1.36.4"), Level.PASS, ""),
        (NOTHING, Level.PASS, ""),
        (tools("1.33.9", "1.36.4"), Level.PASS, ""),
        (tools("1.32.9", "1.36.4"), Level.FAIL, "kubelet"),
        (tools("1.37.0", "1.36.4"), Level.FAIL, "kubelet"),
        (tools("1.36.4", "1.37.0"), Level.WARN, "kubeadm"),
        (tools("1.36.4", "1.38.0"), Level.FAIL, "kubeadm"),
        (tools("1.36.4", "1.35.0"), Level.FAIL, "kubeadm"),
    ],
)
def test_versions_against_a_control_plane_of_1_36(there: Tools, level: Level, subject: str) -> None:
    found = one(identity.api_version, GOOD, there)
    assert (found.level, found.subject) == (level, subject)
    if found.fix:
        assert "1.36" in found.fix.text


def test_a_profile_of_another_minor() -> None:
    older, newer = replace(GOOD, version="v1.35.1"), replace(GOOD, version="v1.37.0")
    assert (one(identity.api_version, newer).level, one(identity.api_version, newer).subject) == (Level.WARN, "profile")
    found = one(identity.api_version, older)
    assert (found.level, found.subject, fix_of(found)) == (
        Level.FAIL,
        "kubelet",
        "add --set kubernetes.version=v1.35.1",
    )


@pytest.mark.parametrize("version", ["", "nonsense"])
def test_a_version_that_is_not_told_is_unknown(version: str) -> None:
    assert one(identity.api_version, replace(GOOD, version=version)).level is Level.UNKNOWN


# -- token and keys ----------------------------------------------------------------------------------------------------
def test_a_known_token_passes_by_its_public_half_only() -> None:
    found = one(checks.join_token, GOOD)
    assert (found.level, found.subject) == (Level.PASS, "abcdef")


def test_a_token_that_signs_nothing_fails_with_kubeadms_words() -> None:
    found = one(checks.join_token, replace(GOOD, signed=None))
    assert (found.level, fix_of(found)) == (
        Level.FAIL,
        "on a control plane: caasctl token create --out FILE, or kubeadm token create --print-join-command",
    )
    assert "is invalid for this cluster or it has expired" in found.found
    assert one(checks.join_token, replace(GOOD, signed=None), profile=BY_FILE).level is Level.UNKNOWN
    assert one(checks.join_token, replace(GOOD, listed=False, signed=None), profile=BY_FILE).level is Level.UNKNOWN


def test_a_token_file_that_others_may_read_is_warned_of() -> None:
    warned, passed = judge(checks.join_token, BLANK, replace(GOOD, exposed="/root/join"), profile=WORKER)
    assert (warned.level, fix_of(warned), passed.level) == (Level.WARN, "chmod 600 /root/join", Level.PASS)


def keys(files: JoinFiles, profile: NodeProfile = CONTROL) -> dict[str, Level]:
    return {
        found.subject.rpartition("/")[2]: found.level
        for found in judge(checks.join_keys, BLANK, files, profile=profile)
    }


def test_a_control_plane_needs_the_keys_of_the_first() -> None:
    good, bad = Level.PASS, Level.FAIL
    assert keys(JoinFiles(encryption=True)) == {"encryption.yaml": good, "certificates": good}
    assert keys(JoinFiles(encryption=False, missing=SHARED)) == {"encryption.yaml": bad, "certificates": bad}
    uploaded = replace(CONTROL, join=replace(JOIN, certificate_key="b2" * 32))
    assert keys(JoinFiles(encryption=True, missing=SHARED), uploaded) == {"encryption.yaml": good, "certificates": good}
    assert keys(JoinFiles(), WORKER) == {}
    plain = replace(load("control-plane", ("kubernetes.encryptSecrets=false",)), join=JOIN)
    assert keys(JoinFiles(), plain) == {"certificates": good}


def test_the_fix_copies_the_key_from_the_first_control_plane() -> None:
    found = judge(checks.join_keys, BLANK, JoinFiles(), profile=CONTROL)[0]
    assert "scp -p root@192.0.2.10:/etc/kubernetes/caasctl/encryption.yaml" in fix_of(found)
