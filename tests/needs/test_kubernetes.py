"""What kubeadm is told: right by the schemas for every profile, one source for every range, kubeadm's defaults kept."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caasctl import formats, profile_load
from caasctl.facts.network_dns import UPSTREAM, Resolvers
from caasctl.facts.os import Cpu, Memory
from caasctl.facts.os_system import Hostname
from caasctl.model import Facts
from caasctl.needs.kubernetes.documents import documents, join_document
from caasctl.needs.kubernetes.kubelet import joining_patch, kube_cpu, overlaid
from caasctl.needs.kubernetes.server import admission, audit_policy
from caasctl.profile import Join, NodeProfile
from caasctl.syntax import kubeadm
from caasctl.syntax.cidr import Ranges, parse

GIB = 1024 * 1024
FACTS = Facts([Cpu("GenuineIntel", 32, frozenset()), Memory(256 * GIB, 200 * GIB), Resolvers(("127.0.0.53",), ("9.9.9.9",)),
               Hostname("GPU-Node-1")])  # fmt: skip
V4 = Ranges(parse("10.244.0.0/16"), parse("10.96.0.0/16"), (24,))
V6 = Ranges(parse("fd00:10:244::/56"), parse("fd00:10:96::/112"), (64,))
DUAL = Ranges((*V4.pods, *V6.pods), (*V4.services, *V6.services), (24, 64))
FAMILIES = {"ipv4": (V4, ("192.0.2.7",)), "ipv6": (V6, ("2001:db8::7",)), "dual": (DUAL, ("192.0.2.7", "2001:db8::7"))}
RUNTIMES = ("[runc]", "[runc, kata-qemu, kata-clh]", "[runc, kata-qemu-nvidia-gpu]")
VERSIONS = ("v1.33.5", "v1.34.3", "v1.35.9", "v1.36.4", "v1.37.1")
SCHEMAS = {"kubeadm.k8s.io/v1beta4": "kubeadm-v1beta4", "kubelet.config.k8s.io/v1beta1": "kubelet-v1beta1",
           "kubeproxy.config.k8s.io/v1alpha1": "kubeproxy-v1alpha1"}  # fmt: skip
JOIN = Join("192.0.2.1:6443", "abcdef.0123456789abcdef", ("sha256:" + "a" * 64,), certificate_key="b" * 64)
API_ARGUMENTS = {"profiling", "enable-admission-plugins", "admission-control-config-file", "audit-policy-file", "audit-log-path",
                 "audit-log-maxage", "audit-log-maxbackup", "audit-log-maxsize", "encryption-provider-config"}  # fmt: skip


def profile(*settings: str, name: str = "single-node") -> NodeProfile:
    return profile_load.load(name, settings)


def wrong(document: dict[str, Any]) -> str:
    return formats.schema_error(document, SCHEMAS[document["apiVersion"]], document["kind"])


def by_kind(wanted: NodeProfile, family: str = "ipv4") -> dict[str, dict[str, Any]]:
    return {document["kind"]: document for document in documents(FACTS, wanted, *FAMILIES[family])}


def arguments(component: dict[str, Any]) -> dict[str, str]:
    named = [(each["name"], each["value"]) for each in component["extraArgs"]]
    assert len(named) == len(dict(named))
    return dict(named)


@pytest.mark.parametrize("role", ["single-node", "control-plane"])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_document_of_every_profile_passes_its_schema(role: str, version: str, family: str) -> None:
    for runtimes, proxy, more in itertools.product(RUNTIMES, ("true", "false"), ((), ("kubernetes.auditLog=false",))):
        settings = (
            f"kubernetes.version={version}",
            f"runtimes={runtimes}",
            f"cilium.kubeProxyReplacement={proxy}",
            *more,
        )
        wanted = profile(*settings, "kubernetes.apiServerCertSANs=[api.example, 192.0.2.9]", name=role)
        found = documents(FACTS, wanted, *FAMILIES[family])
        assert [wrong(document) for document in found] == [""] * len(found)
        kinds = [document["kind"] for document in found]
        assert kinds[:3] == ["InitConfiguration", "ClusterConfiguration", "KubeletConfiguration"]
        assert kinds[3:] == ([] if proxy == "true" else ["KubeProxyConfiguration"])
        assert formats.parse_json(json.dumps(found), "") == list(found)  # plain data


@pytest.mark.parametrize("name", ["worker", "control-plane"])
@pytest.mark.parametrize("join", [JOIN, Join("192.0.2.1:6443", discovery_file="/root/d.conf"),
                                  Join("192.0.2.1:6443", JOIN.token, discovery_file="/root/d.conf")])  # fmt: skip
def test_a_join_document_passes_its_schema_and_has_one_way_of_discovery(name: str, join: Join) -> None:
    document = join_document(FACTS, profile(name=name), join, ("192.0.2.7",))
    assert wrong(document) == ""
    assert len(set(document["discovery"]) & {"file", "bootstrapToken"}) == 1
    assert ("controlPlane" in document) == (name == "control-plane")
    assert "taints" not in document["nodeRegistration"]
    assert document["patches"] == {"directory": kubeadm.PATCHES}
    assert "0123456789abcdef" not in repr(join)


@pytest.mark.parametrize("family", FAMILIES)
def test_masks_and_networks_are_those_of_the_ranges_and_of_its_families_only(family: str) -> None:
    ranges, addresses = FAMILIES[family]
    found = by_kind(profile("cilium.kubeProxyReplacement=false"), family)
    told = arguments(found["ClusterConfiguration"]["controllerManager"])
    assert {name: value for name, value in told.items() if "mask" in name} == {
        f"node-cidr-mask-size-ipv{each}": str(ranges.mask(each)) for each in ranges.families
    }
    networking = found["ClusterConfiguration"]["networking"]
    assert (networking["podSubnet"], networking["serviceSubnet"]) == (ranges.pod_subnet, ranges.service_subnet)
    assert found["KubeProxyConfiguration"]["clusterCIDR"] == ranges.pod_subnet
    assert found["KubeletConfiguration"]["clusterDNS"] == [ranges.dns[0]]
    assert found["InitConfiguration"]["localAPIEndpoint"]["advertiseAddress"] == addresses[0]
    assert found["InitConfiguration"]["nodeRegistration"]["kubeletExtraArgs"] == [
        {"name": "node-ip", "value": ",".join(addresses)}
    ]


def test_the_api_server_keeps_what_kubeadm_and_its_probes_need() -> None:
    told = arguments(by_kind(profile())["ClusterConfiguration"]["apiServer"])
    assert "NodeRestriction" in told["enable-admission-plugins"].split(",")
    assert "anonymous-auth" not in told
    assert "authorization-mode" not in told
    assert set(told) == API_ARGUMENTS


def test_every_file_that_the_api_server_is_told_of_is_mounted() -> None:
    for more in ((), ("kubernetes.auditLog=false",), ("kubernetes.encryptSecrets=false",)):
        server = by_kind(profile(*more))["ClusterConfiguration"]["apiServer"]
        mounted = {volume["mountPath"]: volume for volume in server["extraVolumes"]}
        for name, value in arguments(server).items():
            if value.startswith("/"):
                place = mounted[value.rpartition("/")[0] if name == "audit-log-path" else value]
                assert place["readOnly"] == (name != "audit-log-path")
        assert len({volume["name"] for volume in server["extraVolumes"]}) == len(mounted)


def test_a_single_node_has_no_taint_and_a_control_plane_has_that_of_kubeadm() -> None:
    assert by_kind(profile())["InitConfiguration"]["nodeRegistration"]["taints"] == []
    assert "taints" not in by_kind(profile(name="control-plane"))["InitConfiguration"]["nodeRegistration"]


def test_the_nodes_name_is_lower_case_and_nothing_is_looked_up() -> None:
    found = by_kind(
        profile("kubernetes.imageRepository=registry.example/k8s", "kubernetes.controlPlaneEndpoint=api.example:6443")
    )
    assert found["InitConfiguration"]["nodeRegistration"]["name"] == "gpu-node-1"
    cluster = found["ClusterConfiguration"]
    assert (cluster["kubernetesVersion"], cluster["imageRepository"]) == ("v1.36.4", "registry.example/k8s")
    assert cluster["controlPlaneEndpoint"] == "api.example:6443"
    assert cluster["proxy"] == {"disabled": True}


def test_the_gate_of_kata_is_written_only_where_it_is_off_by_default() -> None:
    for version in VERSIONS:
        kubelet = by_kind(profile(f"kubernetes.version={version}"))["KubeletConfiguration"]
        assert ("featureGates" in kubelet) == (version < "v1.34")
        assert kubelet["runtimeRequestTimeout"] == "15m0s"
    plain = by_kind(profile("kubernetes.version=v1.33.5", "runtimes=[runc]"))["KubeletConfiguration"]
    assert not {"featureGates", "runtimeRequestTimeout"} & set(plain)


def test_the_kubelet_waits_as_long_for_gpus_as_kata_does_unless_the_profile_says_otherwise() -> None:
    required = "gpu.passthrough=required"
    assert by_kind(profile(required))["KubeletConfiguration"]["runtimeRequestTimeout"] == "20m0s"
    own = by_kind(profile(required, "kubernetes.kubelet={runtimeRequestTimeout: 4m0s}"))["KubeletConfiguration"]
    assert own["runtimeRequestTimeout"] == "4m0s"


def test_the_profiles_fields_are_laid_over_ours_key_by_key() -> None:
    kubelet = by_kind(
        profile("kubernetes.kubelet={maxPods: 250, evictionHard: {memory.available: 1Gi}, failSwapOn: false}")
    )
    found = kubelet["KubeletConfiguration"]
    assert (found["maxPods"], found["failSwapOn"]) == (250, False)
    assert found["evictionHard"]["memory.available"] == "1Gi"
    assert found["evictionHard"]["nodefs.available"] == "10%"
    assert overlaid({"a": {"b": 1}}, {"a": 2}) == {"a": 2}


def test_a_node_that_joins_keeps_its_own_part_of_the_kubelets_configuration() -> None:
    own = joining_patch(FACTS, profile("kubernetes.kubelet={maxPods: 64}", name="worker"))
    assert own["resolvConf"] == UPSTREAM
    assert (own["maxPods"], "kubeReserved" in own, "clusterDNS" in own) == (64, True, False)
    assert formats.schema_error({"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", **own},
                                "kubelet-v1beta1", "KubeletConfiguration") == ""  # fmt: skip


@given(st.integers(1, 1024), st.integers(1_700_000, 4_000_000_000))
def test_what_is_held_back_leaves_most_of_the_machine(count: int, total_kib: int) -> None:
    facts = Facts([Cpu("", count, frozenset()), Memory(total_kib, 0), Resolvers(("9.9.9.9",)), Hostname("n")])
    own = joining_patch(facts, profile())
    held = sum(int(own[key]["memory"].removesuffix("Mi")) for key in ("kubeReserved", "systemReserved"))
    assert 0 < held <= total_kib // 1024 // 4
    assert 60 <= kube_cpu(count) <= 1000 * count * 0.1
    assert own["resolvConf"] == "/etc/resolv.conf"


@pytest.mark.parametrize(
    ("gib", "kube", "system"), [(2, "192Mi", "192Mi"), (256, "1408Mi", "2560Mi"), (1024, "1408Mi", "4096Mi")]
)
def test_what_is_held_back_grows_with_the_pods_and_with_the_machine(gib: int, kube: str, system: str) -> None:
    facts = Facts([Cpu("", 4, frozenset()), Memory(gib * GIB, 0), Resolvers(("9.9.9.9",)), Hostname("n")])
    own = joining_patch(facts, profile())
    assert (own["kubeReserved"]["memory"], own["systemReserved"]["memory"]) == (kube, system)


def test_a_little_more_memory_holds_back_the_same() -> None:
    less = Facts([Cpu("", 4, frozenset()), Memory(8 * GIB - 4096, 0), Resolvers(("9.9.9.9",)), Hostname("n")])
    more = Facts([Cpu("", 4, frozenset()), Memory(8 * GIB - 1024, 0), Resolvers(("9.9.9.9",)), Hostname("n")])
    assert joining_patch(less, profile()) == joining_patch(more, profile())


def test_the_audit_policy_writes_down_no_secret_and_no_noise() -> None:
    rules = audit_policy()["rules"]

    def level(verb: str, group: str, resource: str, user_groups: tuple[str, ...] = ()) -> str:
        for rule in rules:
            names = [(each["group"], name) for each in rule.get("resources", []) for name in each["resources"]]
            fits = ("nonResourceURLs" not in rule, verb in rule.get("verbs", [verb]), not names or (group, resource) in names,
                    not rule.get("userGroups") or set(rule["userGroups"]) & set(user_groups))  # fmt: skip
            if all(fits):
                return str(rule["level"])
        return ""

    assert {level(verb, "", "secrets", ("system:nodes",)) for verb in ("get", "create", "watch")} == {"Metadata"}
    assert level("create", "", "serviceaccounts/token") == "Metadata"
    assert level("update", "coordination.k8s.io", "leases") == "None"
    assert level("create", "", "events") == "None"
    assert level("create", "apps", "deployments") == "Request"
    assert level("list", "", "pods") == "Metadata"
    assert {rule["level"] for rule in rules} == {"None", "Metadata", "Request"}


@pytest.mark.parametrize("level", ["privileged", "baseline", "restricted"])
def test_namespaces_enforce_the_level_of_the_profile_and_kube_system_is_free(level: str) -> None:
    plugin = admission(profile(f"kubernetes.podSecurity={level}"))["plugins"][0]
    assert plugin["name"] == "PodSecurity"
    assert plugin["configuration"]["defaults"]["enforce"] == level
    assert plugin["configuration"]["exemptions"]["namespaces"] == ["kube-system"]


def test_the_worker_is_told_nothing_of_the_cluster() -> None:
    document = join_document(FACTS, replace(profile(name="worker"), join=JOIN), JOIN, ("192.0.2.7",))
    assert set(document) == {"apiVersion", "kind", "nodeRegistration", "discovery", "patches"}
