"""The manifests of static pods, and the kubelet's configuration, as kubeadm writes them.

Source: kubernetes/kubernetes cmd/kubeadm/app/phases/controlplane/{manifests,volumes}.go, phases/etcd/local.go,
componentconfigs/kubelet.go, phases/kubelet/flags.go; util/arguments.go (a name given by the user replaces kubeadm's own).
"""

from __future__ import annotations

import ipaddress
import os
from typing import Any

Object = dict[str, Any]
PKI = "/etc/kubernetes/pki"
FOLDER = "/etc/kubernetes/manifests"
CERTIFICATES = ("/etc/ca-certificates", "/usr/local/share/ca-certificates", "/usr/share/ca-certificates")


def arguments(defaults: dict[str, str], extra: list[dict[str, str]]) -> list[str]:
    """Defaults sorted, without those that the user names; then the user's in their order."""
    named = {entry["name"] for entry in extra}
    kept = [f"--{name}={value}" for name, value in sorted(defaults.items()) if name not in named]
    return [*kept, *(f"--{entry['name']}={entry.get('value', '')}" for entry in extra)]


def apiserver(cluster: Object, address: str, port: int) -> Object:
    networking = cluster["networking"]
    defaults = {
        "advertise-address": address, "enable-admission-plugins": "NodeRestriction", "authorization-mode": "Node,RBAC",
        "service-cluster-ip-range": networking["serviceSubnet"], "service-account-key-file": f"{PKI}/sa.pub",
        "service-account-signing-key-file": f"{PKI}/sa.key", "client-ca-file": f"{PKI}/ca.crt",
        "service-account-issuer": f"https://kubernetes.default.svc.{networking['dnsDomain']}",
        "tls-cert-file": f"{PKI}/apiserver.crt", "tls-private-key-file": f"{PKI}/apiserver.key",
        "kubelet-client-certificate": f"{PKI}/apiserver-kubelet-client.crt", "kubelet-client-key": f"{PKI}/apiserver-kubelet-client.key",
        "enable-bootstrap-token-auth": "true", "secure-port": str(port), "allow-privileged": "true",
        "kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname", "etcd-servers": "https://127.0.0.1:2379",
        "etcd-cafile": f"{PKI}/etcd/ca.crt", "etcd-certfile": f"{PKI}/apiserver-etcd-client.crt",
        "etcd-keyfile": f"{PKI}/apiserver-etcd-client.key", "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group", "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-client-ca-file": f"{PKI}/front-proxy-ca.crt", "requestheader-allowed-names": "front-proxy-client",
        "proxy-client-cert-file": f"{PKI}/front-proxy-client.crt", "proxy-client-key-file": f"{PKI}/front-proxy-client.key",
    }  # fmt: skip
    part = cluster.get("apiServer", {})
    if any(entry["name"] == "authorization-config" for entry in part.get("extraArgs", ())):
        del defaults["authorization-mode"]
    command = ["kube-apiserver", *arguments(defaults, part.get("extraArgs", []))]
    return _pod("kube-apiserver", cluster, command, [*_shared(), *part.get("extraVolumes", [])], part)


def controller_manager(cluster: Object) -> Object:
    networking = cluster["networking"]
    conf = "/etc/kubernetes/controller-manager.conf"
    defaults = {
        "bind-address": "127.0.0.1", "leader-elect": "true", "kubeconfig": conf, "authentication-kubeconfig": conf,
        "authorization-kubeconfig": conf, "client-ca-file": f"{PKI}/ca.crt", "requestheader-client-ca-file": f"{PKI}/front-proxy-ca.crt",
        "root-ca-file": f"{PKI}/ca.crt", "service-account-private-key-file": f"{PKI}/sa.key", "cluster-signing-cert-file": f"{PKI}/ca.crt",
        "cluster-signing-key-file": f"{PKI}/ca.key", "use-service-account-credentials": "true",
        "controllers": "*,bootstrapsigner,tokencleaner", "cluster-name": cluster.get("clusterName", "kubernetes"),
    }  # fmt: skip
    if networking.get("podSubnet"):
        defaults |= {"allocate-node-cidrs": "true", "cluster-cidr": networking["podSubnet"],
                     "service-cluster-ip-range": networking["serviceSubnet"]}  # fmt: skip
    part = cluster.get("controllerManager", {})
    command = ["kube-controller-manager", *arguments(defaults, part.get("extraArgs", []))]
    volumes = [*_shared(), _volume("kubeconfig", conf, "FileOrCreate"), *part.get("extraVolumes", [])]
    return _pod("kube-controller-manager", cluster, command, volumes, part)


def scheduler(cluster: Object) -> Object:
    conf = "/etc/kubernetes/scheduler.conf"
    defaults = {"bind-address": "127.0.0.1", "leader-elect": "true", "kubeconfig": conf, "authentication-kubeconfig": conf,
                "authorization-kubeconfig": conf}  # fmt: skip
    part = cluster.get("scheduler", {})
    command = ["kube-scheduler", *arguments(defaults, part.get("extraArgs", []))]
    return _pod(
        "kube-scheduler",
        cluster,
        command,
        [_volume("kubeconfig", conf, "FileOrCreate"), *part.get("extraVolumes", [])],
        part,
    )


def etcd(cluster: Object, address: str, node: str) -> Object:
    local = cluster.get("etcd", {}).get("local", {})
    host, data = f"[{address}]" if ":" in address else address, local.get("dataDir", "/var/lib/etcd")
    defaults = {
        "name": node, "listen-client-urls": f"https://127.0.0.1:2379,https://{host}:2379", "advertise-client-urls": f"https://{host}:2379",
        "listen-peer-urls": f"https://{host}:2380", "initial-advertise-peer-urls": f"https://{host}:2380", "data-dir": data,
        "cert-file": f"{PKI}/etcd/server.crt", "key-file": f"{PKI}/etcd/server.key", "trusted-ca-file": f"{PKI}/etcd/ca.crt",
        "client-cert-auth": "true", "peer-cert-file": f"{PKI}/etcd/peer.crt", "peer-key-file": f"{PKI}/etcd/peer.key",
        "peer-trusted-ca-file": f"{PKI}/etcd/ca.crt", "peer-client-cert-auth": "true", "snapshot-count": "10000",
        "listen-metrics-urls": "http://127.0.0.1:2381", "initial-cluster": f"{node}=https://{host}:2380",
    }  # fmt: skip
    command = ["etcd", *arguments(defaults, local.get("extraArgs", []))]
    volumes = [
        _volume("etcd-certs", f"{PKI}/etcd", "DirectoryOrCreate"),
        _volume("etcd-data", data, "DirectoryOrCreate", read_only=False),
    ]
    return _pod("etcd", cluster, command, volumes, {})


def _shared() -> list[Object]:
    there = [
        _volume(path.strip("/").replace("/", "-"), path, "DirectoryOrCreate")
        for path in CERTIFICATES
        if os.path.isdir(path)
    ]
    return [
        _volume("ca-certs", "/etc/ssl/certs", "DirectoryOrCreate"),
        _volume("k8s-certs", PKI, "DirectoryOrCreate"),
        *there,
    ]


def _volume(name: str, path: str, kind: str, *, read_only: bool = True) -> Object:
    return {"name": name, "hostPath": path, "mountPath": path, "readOnly": read_only, "pathType": kind}


def _pod(name: str, cluster: Object, command: list[str], volumes: list[Object], part: Object) -> Object:
    repository = cluster.get("imageRepository", "registry.k8s.io")
    image = f"{repository}/etcd:3.6.11-0" if name == "etcd" else f"{repository}/{name}:{cluster['kubernetesVersion']}"
    container = {
        "command": command, "image": image, "imagePullPolicy": "IfNotPresent", "name": name,
        "volumeMounts": [{"mountPath": one["mountPath"], "name": one["name"], **({"readOnly": True} if one.get("readOnly") else {})}
                         for one in volumes],
        **({"env": part["extraEnvs"]} if part.get("extraEnvs") else {}),
    }  # fmt: skip
    hosts = [
        {"hostPath": {"path": one["hostPath"], "type": one.get("pathType", "")}, "name": one["name"]} for one in volumes
    ]
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"labels": {"component": name, "tier": "control-plane"}, "name": name, "namespace": "kube-system"},
        "spec": {"containers": [container], "hostNetwork": True, "priorityClassName": "system-node-critical",
                 "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}, "volumes": hosts},
    }  # fmt: skip


def kubelet(given: Object, cluster: Object, socket: str) -> Object:
    """KubeletConfiguration with kubeadm's defaults where the user says nothing."""
    services = cluster["networking"]["serviceSubnet"].split(",")
    defaults = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "staticPodPath": FOLDER,
        "clusterDNS": [str(ipaddress.ip_network(part)[10]) for part in services[:1]], "clusterDomain": cluster["networking"]["dnsDomain"],
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True, "cacheTTL": "0s"},
                           "x509": {"clientCAFile": f"{PKI}/ca.crt"}},
        "authorization": {"mode": "Webhook", "webhook": {"cacheAuthorizedTTL": "0s", "cacheUnauthorizedTTL": "0s"}},
        "healthzBindAddress": "127.0.0.1", "healthzPort": 10248, "rotateCertificates": True, "cgroupDriver": "systemd",
        "containerRuntimeEndpoint": socket,
    }  # fmt: skip
    if os.path.exists("/run/systemd/resolve/resolv.conf"):
        defaults["resolvConf"] = "/run/systemd/resolve/resolv.conf"
    return {**defaults, **given}
