"""NVIDIA's sandbox device plugin: it offers GPUs that are bound to vfio-pci as a resource, without a driver or operator."""

from __future__ import annotations

from typing import Any

from caasctl.facts.gpu import PciFunctions
from caasctl.model import Facts
from caasctl.profile import NodeProfile
from caasctl.syntax.cluster.names import GPU_HANDLER, GPU_NAMESPACE, NAME, OURS, PLUGIN, PLUGIN_DOMAIN, label
from caasctl.syntax.digests import sha256

BOUND = "caasctl.io/bound"
_DRIVER = "vfio-pci"  # the only one that the plugin takes
_LABELS = {**OURS, NAME: PLUGIN}
_DIGITS = 16


def passes_gpus(handlers: tuple[str, ...], profile: NodeProfile) -> bool:
    """Whether pods are to get GPUs at all. handlers: those in effect on this host."""
    return GPU_HANDLER in handlers and profile.spec.gpu.passthrough != "off"


def device_plugin(facts: Facts, profile: NodeProfile, handlers: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
    """Namespace and DaemonSet; () where the profile gives no image. Raises FactUnread."""
    if not passes_gpus(handlers, profile) or not profile.spec.gpu.devicePlugin.image:
        return ()
    return _namespace(), _daemon_set(profile, bound(facts, profile))


def alias(profile: NodeProfile) -> str:
    """As the plugin is told the resource's name: what stands behind the domain that is compiled into it."""
    return profile.spec.gpu.resourceName.removeprefix(f"{PLUGIN_DOMAIN}/")


def bound(facts: Facts, profile: NodeProfile) -> str:
    """Names the groups that are bound now: the plugin looks once, so it must start again when they are others."""
    found = facts[PciFunctions].selected(profile.spec.gpu)
    rows = sorted(f"{each.address} {each.iommu_group}\n" for each in found if each.driver == _DRIVER)
    return sha256("".join(rows))[:_DIGITS] if rows else "none"


def _namespace() -> dict[str, Any]:
    """Of its own: its pod is privileged, which no other namespace has to allow for it."""
    levels = {"pod-security.kubernetes.io/enforce": "privileged"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GPU_NAMESPACE, "labels": {**OURS, **levels}}}


def _daemon_set(profile: NodeProfile, groups: str) -> dict[str, Any]:
    secrets = [{"name": name} for name in profile.spec.gpu.devicePlugin.imagePullSecrets]
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "nodeSelector": {label(GPU_HANDLER): "true"},
        "priorityClassName": "system-node-critical",
        "tolerations": [{"operator": "Exists"}],
        **({"imagePullSecrets": secrets} if secrets else {}),
        "containers": [_container(profile)],
        "volumes": [
            {"name": "device-plugins", "hostPath": {"path": "/var/lib/kubelet/device-plugins", "type": "Directory"}},
            # A privileged container's /dev is that of its start; this folder is the host's own, and nodes come and go in it.
            {"name": "vfio", "hostPath": {"path": "/dev/vfio", "type": "DirectoryOrCreate"}},
            # The plugin writes a CDI specification of its own: it stays in the pod, the host's is caasctl's.
            {"name": "cdi", "emptyDir": {}},
        ],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": PLUGIN, "namespace": GPU_NAMESPACE, "labels": dict(_LABELS)},
        "spec": {
            "selector": {"matchLabels": {NAME: PLUGIN}},
            "template": {"metadata": {"labels": dict(_LABELS), "annotations": {BOUND: groups}}, "spec": pod},
        },
    }


def _container(profile: NodeProfile) -> dict[str, Any]:
    """ENABLE_GFD is on unless it is told otherwise, and wants rights in the cluster."""
    told = {"P_GPU_ALIAS": alias(profile), "NVSWITCH_ALIAS": "nvswitch", "ENABLE_GFD": "false"}
    folders = {"device-plugins": "/var/lib/kubelet/device-plugins", "vfio": "/dev/vfio", "cdi": "/var/run/cdi"}
    return {
        "name": "plugin",
        "image": profile.spec.gpu.devicePlugin.image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": name, "value": value} for name, value in told.items()],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "securityContext": {"privileged": True},
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in folders.items()],
    }
