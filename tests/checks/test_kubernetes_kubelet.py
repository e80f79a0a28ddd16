"""Checks of the kubelet's flags, service and configuration, each seen passing and failing."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from caasctl.checks import kubernetes_config, kubernetes_drift, kubernetes_kubelet
from caasctl.facts.kubernetes import Cluster, Kubelet
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_config import KubeadmFile
from caasctl.facts.kubernetes_kubelet import KUBEADM_FLAGS, KubeletFlags, KubeletService
from caasctl.facts.kubernetes_tools import Tools
from caasctl.facts.os_clock import Clock
from caasctl.model import Check, Facts, Finding, Level, findings
from caasctl.profile_load import load

THERE = Kubelet(installed=True)
BY_HAND = Kubelet(installed=True, config={"kind": "KubeletConfiguration", "address": "192.0.2.2", "port": 20250,
                                          "cgroupDriver": "systemd", "serializeImagePulls": False})  # fmt: skip
BEGUN = Cluster(kubelet_conf=True)
DEFAULTS = "/etc/default/kubelet"


def judge(check: Check, *facts: object, settings: tuple[str, ...] = ()) -> list[Finding]:
    return list(findings(check, Facts(facts), load("single-node", settings)))


def one(check: Check, *facts: object, settings: tuple[str, ...] = ()) -> Finding:
    (found,) = judge(check, *facts, settings=settings)
    return found


def text(found: Finding) -> str:
    return found.fix.text if found.fix else ""


def flags(*names: str, path: str = DEFAULTS) -> KubeletFlags:
    return KubeletFlags(tuple((path, name) for name in names))


def test_flags_that_the_kubelet_knows_pass() -> None:
    found = one(kubernetes_kubelet.kubelet_flags, flags("node-ip", "v"), THERE, Cluster(), Tools())
    assert found.found == "2 flags, all known to 1.36"
    assert judge(kubernetes_kubelet.kubelet_flags, KubeletFlags(), Kubelet(installed=False), Cluster(), Tools()) == []


@pytest.mark.parametrize(
    ("flag", "version", "level"),
    [
        ("pod-infra-container-image", "1.36.4", Level.FAIL),
        ("pod-infra-container-image", "1.34.2", Level.PASS),
        ("network-plugin", "1.31.0", Level.FAIL),
        ("container-runtime", "1.31.0", Level.FAIL),
        ("container-runtime-endpoint", "1.37.0", Level.PASS),
        ("log-cadvisor-usage", "1.36.4", Level.PASS),
        ("log-cadvisor-usage", "1.37.0", Level.FAIL),
        ("housekeeping-interval", "1.37.0", Level.PASS),
    ],
)
def test_a_flag_that_a_version_took_away_fails(flag: str, version: str, level: Level) -> None:
    found = one(kubernetes_kubelet.kubelet_flags, flags(flag), THERE, Cluster(), Tools({"kubelet": version}))
    assert found.level is level
    if level is Level.FAIL:
        assert found.found == f"--{flag} in {DEFAULTS}"
        assert "systemctl restart kubelet" in text(found)


def test_kubeadm_s_own_file_counts_only_once_it_has_written_it() -> None:
    old = flags("pod-infra-container-image", path=KUBEADM_FLAGS)
    assert one(kubernetes_kubelet.kubelet_flags, old, THERE, Cluster(), Tools()).level is Level.PASS
    assert one(kubernetes_kubelet.kubelet_flags, old, THERE, BEGUN, Tools()).level is Level.FAIL


def test_settings_that_kubeadm_will_overwrite_warn_with_the_profile_s_lines() -> None:
    found = one(kubernetes_kubelet.kubelet_flags, KubeletFlags(), BY_HAND, Cluster(), Tools())
    assert (found.level, found.found) == (Level.WARN, 'address: "192.0.2.2", port: 20250, serializeImagePulls: false')
    assert 'spec.kubernetes.kubelet: {address: "192.0.2.2", port: 20250, serializeImagePulls: false}' in text(found)
    settings = ('kubernetes.kubelet={address: "192.0.2.2", port: 20250, serializeImagePulls: false}',)
    assert one(
        kubernetes_kubelet.kubelet_flags, KubeletFlags(), BY_HAND, Cluster(), Tools(), settings=settings
    ).level is (Level.PASS)
    assert one(kubernetes_kubelet.kubelet_flags, KubeletFlags(), BY_HAND, BEGUN, Tools()).level is Level.PASS


WAITS = KubeletService("loaded", "activating", "auto-restart", 412, "enabled")
RUNS = KubeletService("loaded", "active", "running", 0, "enabled")


def test_a_kubelet_without_a_configuration_waits_and_that_is_no_failure() -> None:
    found = one(kubernetes_kubelet.kubelet_waiting, WAITS, THERE, Cluster())
    assert (found.level, found.found) == (Level.PASS, "waits for kubeadm: no configuration yet (412 restarts)")


def test_a_kubelet_that_runs_passes_and_none_says_nothing() -> None:
    assert one(kubernetes_kubelet.kubelet_waiting, RUNS, BY_HAND, BEGUN).found == "active (running)"
    assert judge(kubernetes_kubelet.kubelet_waiting, KubeletService(), THERE, Cluster()) == []
    assert judge(kubernetes_kubelet.kubelet_waiting, KubeletService(), Kubelet(installed=False), Cluster()) == []


def test_a_kubelet_that_crashes_in_a_cluster_fails_and_before_one_warns() -> None:
    found = one(kubernetes_kubelet.kubelet_waiting, WAITS, BY_HAND, BEGUN)
    assert (found.level, found.found) == (Level.FAIL, "activating (auto-restart), 412 restarts")
    assert text(found).startswith("journalctl -u kubelet")
    assert one(kubernetes_kubelet.kubelet_waiting, WAITS, BY_HAND, Cluster()).level is Level.WARN


def test_a_kubelet_that_fails_right_after_a_boot_is_given_its_time() -> None:
    at = datetime(2026, 11, 1, tzinfo=timezone.utc)
    found = one(kubernetes_kubelet.kubelet_waiting, WAITS, BY_HAND, BEGUN, Clock(at, 20))
    assert found.level is Level.FAIL
    assert text(found).startswith("wait until 240 s after the boot")
    assert text(one(kubernetes_kubelet.kubelet_waiting, WAITS, BY_HAND, BEGUN, Clock(at, 240))).startswith("journalctl")


def test_a_kubelet_that_is_stopped_masked_or_disabled() -> None:
    stopped = KubeletService("loaded", "inactive", "dead", 0, "enabled")
    assert text(one(kubernetes_kubelet.kubelet_waiting, stopped, BY_HAND, BEGUN)) == "systemctl start kubelet"
    masked = KubeletService("masked", "inactive", "dead", 0, "masked")
    assert text(one(kubernetes_kubelet.kubelet_waiting, masked, THERE, Cluster())) == "systemctl unmask kubelet"
    disabled = KubeletService("loaded", "inactive", "dead", 0, "disabled")
    _, found = judge(kubernetes_kubelet.kubelet_waiting, disabled, THERE, Cluster())
    assert (found.level, found.subject, found.fixed_by) == (Level.WARN, "boot", "kubeadm")


V4 = KubeadmFile(({"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "X"}, {"apiVersion": "kubelet.x/v1", "kind": "Y"}))
V3 = KubeadmFile(({"apiVersion": "kubeadm.k8s.io/v1beta3", "kind": "ClusterConfiguration"},))


def test_configuration_of_the_current_version_passes() -> None:
    assert one(kubernetes_config.config_api, KubeadmFile(), Tools()).found == "kubeadm.k8s.io/v1beta4"
    found = one(kubernetes_config.config_api, V4, Tools(), settings=("kubernetes.kubelet={maxPods: 200}",))
    assert found.found == "kubeadm.k8s.io/v1beta4, 1 kubelet fields of the profile"


@pytest.mark.parametrize(("version", "level"), [("1.36.4", Level.WARN), ("1.37.1", Level.FAIL)])
def test_an_old_version_warns_until_kubeadm_no_longer_reads_it(version: str, level: Level) -> None:
    found = one(kubernetes_config.config_api, V3, Tools({"kubeadm": version}))
    assert (found.level, found.found) == (level, "kubeadm.k8s.io/v1beta3 (ClusterConfiguration)")
    assert text(found).startswith("kubeadm config migrate --old-config /etc/kubernetes/caasctl/kubeadm.yaml")


def test_the_cluster_s_own_configuration_counts_too() -> None:
    live = ClusterApi(answers=True, configuration="apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\n")
    found = one(kubernetes_config.config_api, KubeadmFile(), live, Tools())
    assert (found.level, found.subject) == (Level.WARN, "kubeadm-config in kube-system")


@pytest.mark.parametrize(
    ("fields", "said", "fix"),
    [
        ("{maxPod: 200}", "must not contain {'maxPod'}", "maxPods instead of maxPod"),
        ("{localAPIEndpoint: x}", "must not contain {'localAPIEndpoint'}", "take localAPIEndpoint out"),
        ('{maxPods: "200"}', "maxPods must be integer", "give the field a value of its type"),
        ("{authentication: {anonymou: {}}}", "authentication must not contain {'anonymou'}", "take anonymou out"),
    ],
)
def test_a_field_that_the_kubelet_would_not_take_fails(fields: str, said: str, fix: str) -> None:
    found = one(kubernetes_config.config_api, KubeadmFile(), Tools(), settings=(f"kubernetes.kubelet={fields}",))
    assert found.level is Level.FAIL
    assert said in found.found
    assert text(found).endswith(fix)


def test_a_profile_that_now_asks_for_another_cluster_warns_with_what_differs() -> None:
    cluster = {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration",
               "networking": {"podSubnet": "10.244.0.0/16"}, "apiServer": {"certSANs": ("a",)}}  # fmt: skip
    same = (cluster, {"kind": "KubeletConfiguration", "maxPods": 110})
    assert list(kubernetes_drift.differing(same, same)) == []
    (found,) = kubernetes_drift.differing(same, ({**cluster, "networking": {}}, {"kind": "KubeletConfiguration"}))
    assert found.level is Level.WARN
    said = (
        'ClusterConfiguration.networking.podSubnet: "10.244.0.0/16" in the cluster, not set by the profile, and 1 more'
    )
    assert found.found == said
