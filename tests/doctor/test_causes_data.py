"""What the rules say about what follows from what: every name is known, nothing follows from itself, no topic speaks for another."""

from __future__ import annotations

import pytest

from caasctl.checks import ALL_CHECKS
from caasctl.diagnosis import Line, Says
from caasctl.doctor.matching import seen
from caasctl.doctor.rules import TEXT, Rule, shipped_rules

RULES = shipped_rules()
CHECKS = frozenset(check.id for check in ALL_CHECKS)
SYMPTOMS = {rule.id: rule for rule in RULES.symptoms}
CAUSES = [rule for rule in RULES.symptoms if rule.says is Says.CAUSE]
OWN = ("boot", "cdi", "cgroup", "containerd", "gpu", "iommu", "kata")

AWAITED = frozenset(  # checks of doctor's that may come later than the rules that name them
    [
        "containerd.running", "gpu.orphan_holders", "gpu.two_injectors", "cilium.running", "network.pod_cidr_places",
        "kubernetes.api_answers", "kubernetes.cluster_dns", "kubernetes.control_plane", "kubernetes.kubelet_running",
        "kubernetes.manifests", "kubernetes.node_pressure", "kubernetes.node_ready", "kubernetes.pods",
        "kubernetes.runtime_chain", "kubernetes.storage_class", "kubernetes.system_pods",
    ]
)  # fmt: skip

SPOKEN_FOR = {
    ("boot.boot_full", "os.disk_full"): "the disk is full is what both say; the narrower one is on top",
    ("boot.efi_variables", "os.disk_full"): "the firmware's variables say `No space left on device` as well",
    ("boot.module_not_signed", "os.module_missing"): "modprobe's own words stand before the reason",
    ("boot.root_missing", "os.kernel_crash"): "a kernel without a root file system panics",
    ("cgroup.kubepods_missing", "kubernetes.kubelet_config_invalid"): "the kubelet wraps it",
    ("cdi.malformed", "kubernetes.config_unknown_field"): "the JSON reader's words are the same",
    ("cilium.port_clash", "network.address_in_use"): "of Cilium's ports the narrower one is on top",
    ("containerd.no_cni_at_start", "cilium.cni_not_initialized"): "containerd quotes it at its start",
    ("containerd.no_space", "os.disk_full"): "the disk is full is what both say; the narrower one is on top",
    ("containerd.pause_unknown", "kubernetes.pause_image"): "kubeadm's warning with an empty name",
    ("containerd.runtime_config", "kubernetes.runtime_too_old"): "a note up to Kubernetes 1.35, a cause from then on",
    ("containerd.socket_dead", "network.address_in_use"): "a socket is an address too",
    ("gpu.mapping_entries", "os.disk_full"): "`No space left on device`, and no disk is meant",
    ("gpu.not_pinned", "cilium.memlock"): "RLIMIT_MEMLOCK is what the kernel says to anybody",
    ("gpu.plugin_without_driver", "cilium.devices"): "`No devices found` is what many say",
    ("kata.guest_root", "os.kernel_crash"): "it is the guest's kernel that panics",
    ("kata.kvm_internal", "os.disk_errors"): "`Input/output error`, and no disk is meant",
    ("kata.shm_full", "os.disk_full"): "a tmpfs is full",
    ("kata.vsock_held", "os.module_missing"): "modprobe's own words stand before the reason",
    ("os.clock_wrong", "kubernetes.cert_expired"): "a wrong clock makes certificates look expired",
    ("os.disk_full", "containerd.no_space"): "one of its samples is of containerd's disk",
    ("cgroup.guest_killed", "kubernetes.oom_killed"): "a guest is killed by its pod's limit",
    ("containerd.registry_certificate", "kubernetes.image_tls"): "which of them, the narrower one says",
    ("containerd.registry_plain_http", "kubernetes.image_tls"): "which of them, the narrower one says",
    ("containerd.runc_missing", "kubernetes.command_missing"): "runc itself is the command that is missing",
    ("containerd.sandbox_gone", "kubernetes.command_missing"): "a file below /proc is missing, and no command",
    ("containerd.shim_other_machine", "kubernetes.wrong_platform"): "the host's program, and no image's",
    ("kata.file_missing", "kubernetes.command_missing"): "a file of the host's, and no image's",
    ("kata.no_vhost_vsock", "kubernetes.command_missing"): "a device of the host's, and no image's",
    ("kubernetes.image_tls", "containerd.registry_certificate"): "which of them, the narrower one says",
    ("kubernetes.image_tls", "containerd.registry_plain_http"): "which of them, the narrower one says",
}  # (whose sample, whose rule): why both are right


def edges() -> list[tuple[str, str]]:
    return [(name, effect) for name, effects in RULES.causes.items() for effect in effects]


def test_every_id_of_what_follows_from_what_is_a_check_or_a_symptom() -> None:
    named = {name for edge in edges() for name in edge}
    topics = {rule.topic for rule in RULES.symptoms}
    unknown = {name for name in named if name.partition(".")[0] in topics} - CHECKS - set(SYMPTOMS) - AWAITED
    assert not unknown


def test_nothing_follows_from_itself_by_any_way() -> None:
    """Ids without what is above them are taken away until none is left; a cycle stays."""
    left = set(edges())
    while left:
        below = {effect for _, effect in left}
        kept = {(name, effect) for name, effect in left if name in below}
        assert kept != left, f"in a circle, or below one: {sorted(kept)}"
        left = kept


def test_no_effect_hides_a_cause_of_the_same_topics() -> None:
    """A cause that follows from an effect is no root, and the effect is none either."""
    hidden = [(name, effect) for name, effect in edges() if name in SYMPTOMS and SYMPTOMS[name].says is not Says.CAUSE]
    assert not [edge for edge in hidden if edge[0].partition(".")[0] in OWN and says_cause(edge[1])]


def says_cause(name: str) -> bool:
    return name in SYMPTOMS and SYMPTOMS[name].says is Says.CAUSE


def test_every_effect_follows_from_something() -> None:
    """But for those whose cause no program of the host names."""
    alone = {"gpu.xid_other", "kata.virtiofsd_died"}
    below = {effect for _, effect in edges()}
    effects = {rule.id for rule in RULES.symptoms if rule.says is Says.EFFECT and rule.topic in OWN}
    assert effects - below == alone


def test_notes_bring_nothing_about() -> None:
    notes = {rule.id for rule in RULES.symptoms if rule.says is Says.NOTE and rule.topic in OWN}
    assert not notes & set(RULES.causes)


@pytest.mark.parametrize("rule", [rule for rule in RULES.symptoms if rule.topic in OWN], ids=lambda rule: rule.id)
def test_another_topic_s_cause_is_seen_in_a_sample_only_where_both_are_right(rule: Rule) -> None:
    assert {one for one in foreign(rule) if (rule.id, one) not in SPOKEN_FOR} == set()


@pytest.mark.parametrize("rule", [rule for rule in RULES.symptoms if rule.topic not in OWN], ids=lambda rule: rule.id)
def test_no_cause_of_the_host_s_topics_is_seen_in_other_topics_samples(rule: Rule) -> None:
    ours = {one for one in foreign(rule) if one.partition(".")[0] in OWN}
    assert {one for one in ours if (rule.id, one) not in SPOKEN_FOR} == set()


def foreign(rule: Rule) -> list[str]:
    others = [one for one in CAUSES if one.topic != rule.topic]
    return [sign.id for sign in seen(others, [Line(TEXT, "sample", line) for line in rule.sample.splitlines()])[0]]


def test_what_is_listed_as_right_twice_is_still_seen_twice() -> None:
    both = [pair for pair in SPOKEN_FOR if pair[0] in SYMPTOMS and pair[1] in SYMPTOMS]
    assert [pair for pair in both if pair[1] not in foreign(SYMPTOMS[pair[0]])] == []
