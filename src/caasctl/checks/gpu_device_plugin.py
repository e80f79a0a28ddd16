"""The device plugin that offers GPUs: one, by digest, for one model, under a name that it can have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from caasctl.facts.gpu import PciFunctions
from caasctl.facts.gpu_details import PciDetails
from caasctl.facts.gpu_host import PciUse
from caasctl.facts.kubernetes_objects import ClusterObjects
from caasctl.model import Check, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.cluster.device_plugin import passes_gpus
from caasctl.needs.containerd import handlers
from caasctl.needs.gpu import groups, is_gpu, presumed
from caasctl.profile import NodeProfile
from caasctl.syntax.cluster.names import PLUGIN_DOMAIN

# NVIDIA's own for cards on vfio-pci, of the operator and alone. The one for containers of runc sees none of those.
_OTHERS = re.compile(r"(?:nvidia[^@]*(?:sandbox|kata-[a-z]+)|kubevirt-gpu)-device-plugin", re.IGNORECASE)
_KNOWN = "nvcr.io/nvidia/cloud-native/nvidia-sandbox-device-plugin:v0.0.5"
# By containerd itself: before phase containerd there may be no crictl, or one that asks another runtime.
_DIGEST = (
    f"ctr -n k8s.io images pull {_KNOWN} >/dev/null && ctr -n k8s.io images ls name=={_KNOWN} | awk 'NR==2{{print $3}}'"
)
_VENDOR = "10de"  # compiled into NVIDIA's plugin: it looks at no other's functions


@check(
    "gpu.device_plugin",
    "The profile names the device plugin that offers GPUs to pods",
    reads=(PciFunctions,),
    why="Without a device plugin the node offers no GPU: pods that ask for one stay Pending with `Insufficient nvidia.com/pgpu`.",
    fix="Set spec.gpu.devicePlugin.image to the image by digest, or offer the GPUs by a plugin of your own.",
    source="NVIDIA/sandbox-device-plugin cmd/main.go, pkg/device_plugin",
)
def device_plugin(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """spec.gpu.devicePlugin.image and spec.gpu.resourceName, where the host has GPUs that are to be passed through."""
    gpu, passes = profile.spec.gpu, passes_gpus(handlers(facts, profile), profile)
    found = facts[PciFunctions].selected(gpu)
    if not profile.begins_cluster or not passes or not found:
        return
    others = sorted({f"{one.vendor}:{one.device}" for one in found if one.vendor != _VENDOR})
    ours = any(one.vendor == _VENDOR for one in found)
    if others:
        yield _of_others(others, failing=bool(gpu.devicePlugin.image) and not ours)
    if not ours:
        return
    if not gpu.devicePlugin.image:
        yield warned("none", wanted="spec.gpu.devicePlugin.image: NAME@sha256:DIGEST", cause="GPUs are to go to guests, and nobody offers them to pods",
                     fix=Fix(f"{_DIGEST}   # prints it, for spec.gpu.devicePlugin.image"))  # fmt: skip
    elif not gpu.resourceName.startswith(f"{PLUGIN_DOMAIN}/"):
        yield failed(f"spec.gpu.resourceName: {gpu.resourceName}", wanted=f"a name below {PLUGIN_DOMAIN}/",
                     cause="that domain is compiled into NVIDIA's plugin: it would offer another name than the CDI specification has",
                     fix=Fix(f"spec.gpu.resourceName: {PLUGIN_DOMAIN}/{gpu.resourceName.rpartition('/')[2]}", FixKind.EDIT))  # fmt: skip
    else:
        yield passed(gpu.devicePlugin.image)


def _of_others(ids: list[str], *, failing: bool) -> Finding:
    """Of GPUs that NVIDIA's plugin leaves alone. failing: it is all that the profile asks for, and it has no other."""
    say = failed if failing else warned
    return say(", ".join(ids), wanted="a device plugin that offers them", subject=", ".join(ids),
               cause=f"spec.gpu.devicePlugin is NVIDIA's, which offers functions of vendor {_VENDOR} and no other",
               fix=Fix("spec.gpu.devicePlugin.image: '', and offer them by a device plugin of your own" if failing else
                       "offer them by a device plugin of your own, or leave them out of spec.gpu.select", FixKind.EDIT))  # fmt: skip


@check(
    "gpu.device_plugin_models",
    "All GPUs that share a resource's name are of one model",
    reads=(PciFunctions, PciDetails, PciUse),
    why="NVIDIA's plugin starts a server for each model on the socket of the resource's name: with two models they fight over one, and "
    "the node offers the cards of whichever came last.",
    fix="Leave all models but one out by spec.gpu.exclude, or offer them by a plugin that has a name for each.",
    source="NVIDIA/sandbox-device-plugin pkg/device_plugin/device_plugin.go createDevicePlugins, generic_device_plugin.go",
)
def models(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Vendor and device of the GPUs that the profile passes through, of groups that are not refused."""
    gpu = profile.spec.gpu
    if not passes_gpus(handlers(facts, profile), profile):
        return
    given = (group for group in (*groups(facts, profile), *presumed(facts, profile)) if not group.refused)
    cards = [each for group in given for each in group.selected if is_gpu(each) and each.vendor == _VENDOR]
    counts = Counter(f"{each.vendor}:{each.device}" for each in cards)
    if len(counts) > 1:
        most = max(sorted(counts), key=lambda model: counts[model])
        out = [each.address for each in cards if f"{each.vendor}:{each.device}" != most]
        every = ", ".join(f'"{address}"' for address in dict.fromkeys((*gpu.exclude, *out)))
        yield warned(
            ", ".join(sorted(counts)),
            wanted=f"one model behind {gpu.resourceName}",
            fix=Fix(f"spec.gpu.exclude: [{every}]", FixKind.EDIT),
        )
    elif counts:
        yield passed(*counts)


@check(
    "gpu.one_device_plugin",
    "No second device plugin offers NVIDIA's cards",
    reads=(ClusterObjects, PciFunctions),
    why="Two plugins offer one card under two names, or take each other's socket away: a card is given to two pods, and the second "
    "guest fails with `Device or resource busy`.",
    fix="Uninstall the GPU operator, or leave spec.gpu.devicePlugin.image empty and let it offer the cards.",
    source="NVIDIA/gpu-operator assets/state-kata-device-plugin; kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins",
    gates=("cluster",),
)
def one_device_plugin(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Images of the cluster's daemonsets, by kubectl, where an API server answers."""
    if not passes_gpus(handlers(facts, profile), profile) or not profile.spec.gpu.devicePlugin.image:
        return
    seen = facts[ClusterObjects]
    if not seen.asked:
        return
    others = [one for one in seen.objects if one.kind == "DaemonSet" and not one.ours and any(map(_speaks, one.images))]
    for one in others:
        yield failed(f"{one.namespace}/{one.name}: {', '.join(one.images)}", wanted="caasctl's alone", subject=f"{one.namespace}/{one.name}",
                     fix=Fix(f"kubectl -n {one.namespace} delete daemonset {one.name}, or uninstall what makes it (`helm list -A`)"))  # fmt: skip
    if not others:
        yield passed("none but caasctl's")


def _speaks(image: str) -> bool:
    """Whether a plugin of that image speaks for NVIDIA's cards on vfio-pci."""
    return bool(_OTHERS.search(image))


CHECKS: tuple[Check, ...] = (device_plugin, models, one_device_plugin)
