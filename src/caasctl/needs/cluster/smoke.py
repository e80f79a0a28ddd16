"""The pods of `caasctl smoke`: what each says of where it runs, in lines that syntax/cluster/smoke.py reads."""

from __future__ import annotations

from typing import Any

from caasctl.profile import NodeProfile
from caasctl.syntax.cluster.names import GPU_HANDLER, OURS

SMOKE = "caasctl.io/smoke"
PREFIX = "caasctl-smoke-"
_BUSYBOX = "e2e-test-images/busybox:1.36.1-1"  # of Kubernetes' own tests, in its own registry
_NOBODY = 65534
_PLAIN_S, _GPU_S = 600, 1800  # after which a pod ends by itself, if nobody is there any more to delete it
# The kubelet keeps the last 4096 bytes of what a pod says, so what may be long comes first.
_GPUS = "for f in /sys/bus/pci/devices/*; do [ -e $f/vendor ] || continue; v=$(cat $f/vendor) c=$(cat $f/class); case $v$c in 0x10de*|*0x03????|*0x12????) say pci ${f##*/} $v $c $(cat $f/device);; esac; done\n"
# Names and the service network may take a moment for a pod that is new: each is tried for as long as that.
_SCRIPT = """\
say() { echo "$@"; echo "$@" >>/dev/termination-log; }
again() { for n in 1 2 3; do said=$("$@" 2>&1 </dev/null) && return 0; sleep 2; done; said=$(echo "$said" | tr '\\n' ' ' | tail -c 200); return 1; }
GPUSsay kernel $(uname -r)
say boot $(cat /proc/sys/kernel/random/boot_id)
again timeout 10 nslookup NAME && say names ok || say names failed "$said"
again nc -w 5 "$KUBERNETES_SERVICE_HOST" "$KUBERNETES_SERVICE_PORT" -e true && say api ok || say api failed "$said"
say end
"""


def image(profile: NodeProfile) -> str:
    return profile.spec.smoke.image or f"{profile.spec.kubernetes.imageRepository}/{_BUSYBOX}"


def mark(node: str) -> str:
    """A node's name as a label's value, which has 63 characters at most."""
    return node[:63].rstrip("-.")


def namespace(name: str, node: str) -> dict[str, Any]:
    """Restricted, as a tenant's may be: what runs there runs anywhere. node: whose smoke makes it, and may take it away."""
    labels = {**OURS, SMOKE: mark(node), "pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def pod(profile: NodeProfile, space: str, node: str, handler: str, resource: str = "") -> dict[str, Any]:
    """handler: runc is the runtime of who names none. resource: of which it gets one."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod_name(handler, resource), "namespace": space, "labels": {**OURS, SMOKE: "true"}},
        "spec": {
            **({} if handler == "runc" else {"runtimeClassName": handler}),
            "restartPolicy": "Never",
            "activeDeadlineSeconds": _GPU_S if handler == GPU_HANDLER else _PLAIN_S,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "nodeSelector": {"kubernetes.io/hostname": node},
            "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _NOBODY,
                "runAsGroup": _NOBODY,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [_container(profile, resource)],
        },
    }


def pod_name(handler: str, resource: str) -> str:
    """Of what is tried; a resource's name becomes a pod's."""
    last = resource.rpartition("/")[2].lower().replace("_", "-").replace(".", "-").strip("-")
    return f"{handler}-{last}"[:63].rstrip("-") if resource else handler


def _container(profile: NodeProfile, resource: str) -> dict[str, Any]:
    script = _SCRIPT.replace("NAME", f"kubernetes.default.svc.{profile.spec.network.dnsDomain}")
    script = script.replace("GPUS", _GPUS if resource else "")
    return {
        "name": "smoke",
        "image": image(profile),
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        "resources": {
            "requests": {"cpu": "10m", "memory": "16Mi"},
            **({"limits": {resource: "1"}} if resource else {}),
        },
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
