"""The kubelet: flags that its version no longer knows, settings that kubeadm will overwrite, a service that waits or crashes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from caasctl.facts.kubernetes import CONFIG, Cluster, Kubelet
from caasctl.facts.kubernetes_kubelet import KUBEADM_FLAGS, KubeletFlags, KubeletService
from caasctl.facts.kubernetes_tools import Tools
from caasctl.facts.os_clock import COMES_UP_S, Clock
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.upgrade.table import REMOVED_FLAGS
from caasctl.profile import NodeProfile
from caasctl.syntax import versions

# What kubeadm writes into the file itself, or the kubelet has anyway: nobody's wish.
_KUBEADM_S_OWN = ("apiVersion", "kind", "staticPodPath", "clusterDNS", "clusterDomain", "authentication", "authorization",
                  "cgroupDriver", "containerRuntimeEndpoint", "rotateCertificates", "resolvConf", "healthzBindAddress",
                  "healthzPort")  # fmt: skip
_JOURNAL = Fix("journalctl -u kubelet -n 50 --no-pager")


@check(
    "kubernetes.kubelet_flags",
    "The kubelet is started with flags that it knows, and settings that stay",
    reads=(KubeletFlags, Kubelet, Cluster, Tools),
    why="The kubelet ends at a flag that its version no longer knows: `unknown flag: --pod-infra-container-image`.",
    fix="Take the flag out of the file that the finding names; settings belong into spec.kubernetes.kubelet of the profile.",
    source="kubernetes: CHANGELOG-1.24, 1.27, 1.31, 1.35 (#133779), 1.37 (#139870)",
    gates=("kubeadm",),
)
def kubelet_flags(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """kubelet.service and its drop-ins, /etc/default/kubelet, /etc/sysconfig/kubelet, kubeadm-flags.env, config.yaml."""
    version = versions.minor(facts[Tools].versions.get("kubelet", "")) or profile.spec.kubernetes.minor
    begun = facts[Cluster].begun
    # before there is a cluster kubeadm writes its own file anew
    flags = [(path, flag) for path, flag in facts[KubeletFlags].flags if begun or path != KUBEADM_FLAGS]
    bad = [(path, flag) for path, flag in flags if version >= REMOVED_FLAGS.get(flag, (9, 0))]
    for path in dict.fromkeys(path for path, _ in bad):
        yield _unknown_flags(path, [flag for where, flag in bad if where == path], versions.text(version))
    overwritten = () if begun else tuple(_overwritten(facts[Kubelet].config, profile))
    yield from overwritten
    if not bad and not overwritten and (flags or facts[Kubelet].installed):
        yield passed(f"{len(flags)} flags, all known to {versions.text(version)}")


def _unknown_flags(path: str, flags: list[str], version: str) -> Finding:
    named = ", ".join(f"--{flag}" for flag in flags)
    return failed(
        f"{named} in {path}",
        wanted=f"flags that kubelet {version} knows",
        subject=path,
        fix=Fix(
            f"take {named} out of {path}, then: systemctl daemon-reload && systemctl restart kubelet", FixKind.EDIT
        ),
        evidence=(Evidence(path, named),),
    )


def _overwritten(config: Mapping[str, Any] | None, profile: NodeProfile) -> Iterator[Finding]:
    """Settings by hand before there is a cluster: kubeadm writes the file anew, and nobody says so."""
    wished = profile.spec.kubernetes.kubelet
    lost = {
        key: value for key, value in (config or {}).items() if key not in _KUBEADM_S_OWN and wished.get(key) != value
    }
    if lost:
        yield warned(
            ", ".join(f"{key}: {json.dumps(value, default=str)}" for key, value in lost.items()),
            wanted="in the profile, where they stay",
            subject=CONFIG,
            cause="kubeadm writes this file anew when it begins or joins a cluster: what was set by hand is gone without a word.",
            fix=Fix(f"in the profile: spec.kubernetes.kubelet: {_inline(lost)}, or rm {CONFIG}", FixKind.EDIT),
        )


def _inline(settings: Mapping[str, Any]) -> str:
    """As YAML in one line: what JSON writes, YAML reads."""
    return "{" + ", ".join(f"{key}: {json.dumps(value, default=str)}" for key, value in settings.items()) + "}"


def _crashes(state: str, facts: Facts) -> Finding:
    clock = facts.get(Clock)
    if clock is None or not clock.settles:
        return failed(state, wanted="active (running)", fix=_JOURNAL)
    wait = f"wait until {COMES_UP_S} s after the boot, as `caasctl init-node` does by itself; then `{_JOURNAL.text}`"
    return failed(state, wanted="active (running)", fix=Fix(wait, FixKind.WAIT),
                  cause=f"The node booted {clock.up_s} s ago: the first start may have been too early for containerd.")  # fmt: skip


@check(
    "kubernetes.kubelet_waiting",
    "The kubelet runs, or waits for kubeadm",
    reads=(KubeletService, Kubelet, Cluster),
    why="A node whose kubelet does not run is no node: its pods are not started, and others see it as NotReady.",
    fix="Read why in its journal: journalctl -u kubelet -n 50.",
    source="kubeadm's drop-in 10-kubeadm.conf: Restart=always, RestartSec=10",
    gates=("cilium",),
)
def kubelet_waiting(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """`systemctl show kubelet.service`; before kubeadm its restarts are no failure: it has no configuration yet."""
    if not facts[Kubelet].installed:
        return
    service, begun = facts[KubeletService], facts[Cluster].begun
    state = f"{service.active} ({service.sub})"
    if service.load == "masked":
        yield failed("masked", wanted="enabled", fix=Fix("systemctl unmask kubelet"), cause="kubeadm cannot start it.")
    elif service.load != "loaded":
        return
    elif not begun and facts[Kubelet].config is None:
        yield passed(f"waits for kubeadm: no configuration yet ({service.restarts} restarts)")
    elif service.crashing:
        yield _crashes(f"{state}, {service.restarts} restarts", facts) if begun else (
            warned(f"{state}, {service.restarts} restarts", wanted="stopped, or no configuration yet",
                   fix=Fix(f"rm {CONFIG}"), cause="It crashes on a configuration that somebody else than kubeadm wrote.")
        )  # fmt: skip
    elif service.active == "active" or not begun:
        yield passed(state)
    else:
        yield failed(state, wanted="active (running)", fix=Fix("systemctl start kubelet"))
    if service.load == "loaded" and service.enabled == "disabled":
        yield warned("not enabled", wanted="enabled", subject="boot", fix=Fix("caasctl init-node"), fixed_by="kubeadm",
                     cause="kubeadm warns: `kubelet service is not enabled`; after a reboot the node would stay away.")  # fmt: skip


CHECKS: tuple[Check, ...] = (kubelet_flags, kubelet_waiting)
