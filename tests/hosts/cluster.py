"""A cluster on a recorded host: what kubeadm and Cilium leave there, and what kubectl, helm and ip then answer."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import yaml
from tests.hosts import aftermath

from caasctl.facts import cilium, gpu_node, kubernetes_kubelet, kubernetes_objects, kubernetes_tools
from caasctl.protocol import Known, Resource
from caasctl.resources.helm.commands import WHERE
from caasctl.resources.kubeadm.begin import KubeadmInit
from caasctl.syntax import kubeadm
from caasctl.syntax.cluster.names import GPU_HANDLER, GPU_NAMESPACE, PLUGIN, label

PKI = Path(__file__).with_name("pki")  # made by openssl for this, on 2026-11-25; their keys are gone
BOOTED = 1795600000  # two days before the clock of the recording, which /proc/uptime tells
_COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
_ROTATED = "/var/lib/kubelet/pki/kubelet-client-current.pem"
_VERSION = "1.36.4"
_ETCD = "3.6.11-0"  # has numbers of its own
_TOOLS = ("kubelet", "kubeadm", "kubectl", "cri-tools", "kubernetes-cni")
_LISTENERS = (("127.0.0.1:2379", "etcd"), ("192.168.40.17:2379", "etcd"), ("192.168.40.17:2380", "etcd"),
              ("*:6443", "kube-apiserver"), ("127.0.0.1:10257", "kube-controller"), ("127.0.0.1:10259", "kube-scheduler"),
              ("*:10250", "kubelet"), ("127.0.0.1:10248", "kubelet"), ("*:4244", "cilium-agent"),
              ("192.168.40.17:4240", "cilium-agent"), ("127.0.0.1:9879", "cilium-agent"))  # fmt: skip
_NEVER_SHOWN = "apiVersion: v1\nkind: Config\n# of a recorded host: without keys\n"


def manifests(recording: Path, begun: KubeadmInit) -> None:
    """The static pods that kubeadm writes, as far as caasctl reads them."""
    text = begun.members[0].target(begun.members[0].look(aftermath.host_of(recording)))
    assert isinstance(text, Known)
    told = {document["kind"]: document for document in yaml.safe_load_all(text.text)}
    cluster, advertised = (
        told["ClusterConfiguration"],
        told["InitConfiguration"]["localAPIEndpoint"]["advertiseAddress"],
    )
    networking = cluster["networking"]
    own: dict[str, dict[str, str]] = {name: {} for name in _COMPONENTS}
    own["kube-apiserver"] = {
        "advertise-address": advertised, "secure-port": "6443", "service-cluster-ip-range": networking["serviceSubnet"],
    }  # fmt: skip
    own["kube-controller-manager"] = {
        "allocate-node-cidrs": "true", "cluster-cidr": networking["podSubnet"],
        "service-cluster-ip-range": networking["serviceSubnet"],
    }  # fmt: skip
    more = {
        "kube-apiserver": "apiServer",
        "kube-controller-manager": "controllerManager",
        "kube-scheduler": "scheduler",
    }
    for name, arguments in own.items():
        extra = cluster.get(more.get(name, ""), {}).get("extraArgs", ())
        words = [name, *(f"--{key}={value}" for key, value in arguments.items())]
        words += [f"--{one['name']}={one['value']}" for one in extra]
        image = f"registry.k8s.io/{name}:{_ETCD if name == 'etcd' else f'v{_VERSION}'}"
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "kube-system"},
               "spec": {"containers": [{"name": name, "image": image, "command": words}]}}  # fmt: skip
        aftermath.put(recording, f"/etc/kubernetes/manifests/{name}.yaml", yaml.safe_dump(pod, sort_keys=False))


def files(recording: Path) -> None:
    """Certificates, kubeconfigs (their keys are nowhere), etcd's data, the kubelet's own files, packages."""
    for name in ("ca", "apiserver"):
        aftermath.put(recording, f"/etc/kubernetes/pki/{name}.crt", (PKI / f"{name}.crt").read_text())
    for path in ("/etc/kubernetes/admin.conf", "/root/.kube/config", "/etc/kubernetes/kubelet.conf"):
        aftermath.put(recording, path, _NEVER_SHOWN)
    aftermath.put(recording, "/var/lib/etcd/member/.kept", "")
    documents = yaml.safe_load_all((recording / "root/etc/kubernetes/caasctl/kubeadm.yaml").read_text())
    kubelet = next(document for document in documents if document["kind"] == "KubeletConfiguration")
    aftermath.put(recording, "/var/lib/kubelet/config.yaml", yaml.safe_dump(kubelet, sort_keys=False))
    aftermath.put(recording, "/var/lib/kubelet/kubeadm-flags.env", 'KUBELET_KUBEADM_ARGS="--node-ip=192.168.40.17"\n')
    aftermath.put(recording, "/etc/cni/net.d/05-cilium.conflist",
                  json.dumps({"cniVersion": "0.3.1", "name": "cilium", "plugins": [{"type": "cilium-cni"}]}))  # fmt: skip
    aftermath.put(recording, "/proc/stat", f"cpu  0 0 0 0 0 0 0 0 0 0\nbtime {BOOTED}\n")
    status = recording / "root/var/lib/dpkg/status"
    stanzas = (f"Package: {name}\nStatus: hold ok installed\nVersion: {_VERSION}-1.1\n" for name in _TOOLS)
    before = status.read_text()
    for name in ("containerd", "runc"):
        before = before.replace(f"Package: {name}\nStatus: install", f"Package: {name}\nStatus: hold")
    status.write_text("\n".join((before.rstrip("\n") + "\n", *stanzas)))


def stats() -> dict[str, dict[str, str]]:
    """Programs, files that must not be in a repository, modes that git does not keep."""
    file, secret = {"kind": "file", "mode": "0755"}, {"kind": "file", "mode": "0600"}
    programs = ("kubelet", "kubeadm", "kubectl", "iptables")
    kept = ("/etc/kubernetes/pki/ca.key", "/etc/kubernetes/caasctl/encryption.yaml", "/root/.kube/config",
            *(f"/etc/kubernetes/{name}.conf" for name in ("admin", "kubelet")))  # fmt: skip
    ours = ("kubeadm", "audit-policy", "admission", "cilium-values", "cluster", "tenant-policy")
    found = {f"stat /usr/bin/{name}": file for name in programs} | {"stat /usr/local/bin/helm": file}
    for path in (*kept, *(f"/etc/kubernetes/caasctl/{name}.yaml" for name in ours)):
        found |= {f"stat {path}": secret, f"lstat {path}": secret}
    link = {"kind": "link", "mode": "0777"}
    return found | {"lstat /etc/systemd/system/multi-user.target.wants/kubelet.service": link,
                    "stat /sys/fs/cgroup/system.slice/kubelet.service": {"kind": "dir", "mode": "0755"}}  # fmt: skip


def answer(argv: tuple[str, ...], said: Any, rc: int = 0) -> dict[str, Any]:
    return {"argv": list(argv), "rc": rc, "stdout": said if isinstance(said, str) else json.dumps(said), "stderr": ""}


def commands(recording: Path) -> list[dict[str, Any]]:
    """What a cluster with Cilium makes programs say."""
    kept = recording / "root/etc/kubernetes/caasctl"
    documents = list(yaml.safe_load_all((kept / "kubeadm.yaml").read_text()))
    cluster = next(document for document in documents if document["kind"] == "ClusterConfiguration")
    values = yaml.safe_load((kept / "cilium-values.yaml").read_text())
    return [
        answer(kubeadm.ASK, yaml.safe_dump(cluster, sort_keys=False)),
        answer(kubernetes_kubelet.SHOW, "LoadState=loaded\nActiveState=active\nSubState=running\nNRestarts=0\nUnitFileState=enabled\n"),
        answer(("systemctl", "show", "-p", "LoadState,ActiveState,UnitFileState,ActiveEnterTimestampMonotonic", "--", "kubelet.service"),
               "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nActiveEnterTimestampMonotonic=61000000\n"),
        answer(("/usr/local/bin/helm", *kubernetes_tools._ASK["helm"]), "v3.19.0+g3d8990f\n"),
        *_objects(list(yaml.safe_load_all((kept / "cluster.yaml").read_text()))),
        *_kubeconfigs(), *_release(values), *_live(cluster["networking"]["podSubnet"]), *_network(cluster["networking"]["podSubnet"]),
    ]  # fmt: skip


def _kubeconfigs() -> list[dict[str, Any]]:
    """The lines that grep takes out of kubeconfigs, and sed's of the file that the kubelet renews."""
    ca, admin = (base64.b64encode((PKI / f"{name}.crt").read_bytes()).decode() for name in ("ca", "admin"))
    paths = ("/etc/kubernetes/admin.conf", "/etc/kubernetes/kubelet.conf", "/root/.kube/config")
    lines = []
    for path in paths:
        lines += [f"{path}:    certificate-authority-data: {ca}", f"{path}:    server: https://192.168.40.17:6443"]
        client = f"client-certificate: {_ROTATED}" if "kubelet" in path else f"client-certificate-data: {admin}"
        lines.append(f"{path}:    {client}")
    words = "server|certificate-authority-data|client-certificate-data|client-certificate"
    return [
        answer(("grep", "-sHE", f"^[ -]*({words}):", *paths), "\n".join(lines) + "\n"),
        answer(("sed", "-n", "/BEGIN CERTIFICATE/,/END CERTIFICATE/p", _ROTATED), (PKI / "kubelet.crt").read_text()),
    ]


def _release(values: dict[str, Any]) -> list[dict[str, Any]]:
    revision = {"revision": 1, "updated": "2026-11-25T11:30:00Z", "status": "deployed", "chart": "cilium-1.20.5",
                "app_version": "1.20.5", "description": "Install complete"}  # fmt: skip
    return [answer(("helm", "history", "cilium", *WHERE, "-o", "json"), [revision]),
            answer(("helm", "get", "values", "cilium", *WHERE, "-o", "json"), values)]  # fmt: skip


def _live(pods: str) -> list[dict[str, Any]]:
    ask = ("kubectl", *WHERE, "--request-timeout=10s", "get")
    address = {"type": "InternalIP", "address": "192.168.40.17"}
    node = {"kind": "Node", "metadata": {"name": "gpu-08"},
            "status": {"addresses": [address], "conditions": [{"type": "Ready", "status": "True"}]}}  # fmt: skip
    helm = {"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": {"meta.helm.sh/release-name": "cilium"}}
    agent = {"name": "cilium-agent", "image": "quay.io/cilium/cilium:v1.20.5"}
    daemonset = {"kind": "DaemonSet", "metadata": {"name": "cilium", "namespace": "kube-system", "generation": 1, **helm},
                 "spec": {"template": {"spec": {"containers": [agent]}}},
                 "status": {"observedGeneration": 1, "desiredNumberScheduled": 1, "currentNumberScheduled": 1,
                            "updatedNumberScheduled": 1, "numberReady": 1, "numberAvailable": 1}}  # fmt: skip
    ready = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
    deployments = [{"kind": "Deployment", "metadata": {"name": name, "namespace": "kube-system", "generation": 1},
                    "spec": {"replicas": 1}, "status": ready} for name in ("cilium-operator", "coredns")]  # fmt: skip
    config = {"kind": "ConfigMap", "metadata": {"name": "cilium-config"},
              "data": {"ipam": "cluster-pool", "cluster-pool-ipv4-cidr": pods, "cluster-pool-ipv4-mask-size": "24",
                       "routing-mode": "tunnel", "tunnel-protocol": "vxlan", "kube-proxy-replacement": "true"}}  # fmt: skip
    share = re.sub(r"/\d+$", "/24", pods)
    return [
        answer((*ask, "nodes", "-o", "json"), {"kind": "List", "items": [node]}),
        answer((*ask, "daemonset/cilium", "deployment/cilium-operator", "deployment/coredns", "--ignore-not-found", "-o", "json"),
               {"kind": "List", "items": [daemonset, *deployments]}),
        answer(cilium.ASK, {"kind": "List", "items": [config, daemonset]}),
        answer(cilium.ASK_NODES, f"Node gpu-08 {share} \nCiliumNode gpu-08  {share}\n"),
    ]  # fmt: skip


def _objects(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What phase cluster applied, and the node's labels."""
    refs = [f"{one['kind'].lower()}/{one['metadata']['name']}" for one in documents]
    known = (f"runtimeclass/{GPU_HANDLER}", f"namespace/{GPU_NAMESPACE}", f"daemonset/{PLUGIN}")
    others = [name for name in known if name not in refs]
    asked = ("kubectl", "--kubeconfig", kubeadm.ADMIN, "--request-timeout=10s", "get", *refs, *others, "--namespace", GPU_NAMESPACE,
             "--show-managed-fields", "--ignore-not-found", "-o", "json")  # fmt: skip
    node = (
        "kubectl",
        "--kubeconfig",
        kubeadm.KUBELET_CONF,
        "--request-timeout=10s",
        "get",
        "node",
        "gpu-08",
        "-o",
        "json",
    )
    labels = {"kubernetes.io/hostname": "gpu-08", **{label(one["metadata"]["name"]): "true" for one in documents}}
    rows = [f"RuntimeClass\t\t{one['metadata']['name']}\tcaasctl\t{one['handler']}\t\n" for one in documents]
    rows.append("DaemonSet\tkube-system\tcilium\tHelm\t\tquay.io/cilium/cilium:v1.20.5\n")
    return [answer(asked, {"kind": "List", "items": documents}), answer(node, {"kind": "Node", "metadata": {"name": "gpu-08", "labels": labels}}),
            answer(gpu_node.question("gpu-08"), f'{json.dumps(labels)}\n{{"cpu": "64", "memory": "527951820Ki"}}'),
            answer(kubernetes_objects.ASK, "".join(rows))]  # fmt: skip


def _network(pods: str) -> list[dict[str, Any]]:
    """Listening ports, and no policy rules but the kernel's and Cilium's; links and routes are aftermath's."""
    heads = [f'tcp   LISTEN 0      4096   {address}        *:*    users:(("{name}",pid={2000 + at},fd=7))'
             for at, (address, name) in enumerate(_LISTENERS)]  # fmt: skip
    rules = [{"priority": 9, "src": "all", "fwmark": "0x200", "fwmask": "0xf00", "table": "2004"},
             {"priority": 100, "src": "all", "table": "local"}, {"priority": 32766, "src": "all", "table": "main"},
             {"priority": 32767, "src": "all", "table": "default"}]  # fmt: skip
    assert pods
    return [answer(("ss", "-Hltnup"), "\n".join(heads) + "\n"), answer(("ip", "-j", "rule"), rules),
            answer(("ip", "-j", "-6", "rule"), rules[1:3])]  # fmt: skip


def with_cilium(every: list[dict[str, Any]], pods: str) -> list[dict[str, Any]]:
    """The answers of `ip` with the interfaces and routes that Cilium makes."""
    own = re.sub(r"0/\d+$", "87", pods.split(",", maxsplit=1)[0])
    link = {"ifindex": 90, "ifname": "cilium_host", "flags": ["BROADCAST", "UP", "LOWER_UP"], "mtu": 1500, "operstate": "UP",
            "linkinfo": {"info_kind": "veth"},
            "addr_info": [{"family": "inet", "local": own, "prefixlen": 32, "scope": "global"}]}  # fmt: skip
    route = {
        "dst": re.sub(r"/\d+$", "/24", pods.split(",", maxsplit=1)[0]),
        "gateway": own,
        "dev": "cilium_host",
        "prefsrc": own,
        "flags": [],
    }
    more = {("ip", "-d", "-j", "addr"): link, ("ip", "-j", "route", "show", "table", "all"): route}
    changed = []
    for one in every:
        added = more.get(tuple(one["argv"]))
        data = json.loads(one["stdout"]) if added and one["rc"] == 0 else None
        changed.append(one if data is None else {**one, "stdout": json.dumps([*data, added])})
    return changed


def begun(wanted: list[Resource]) -> KubeadmInit | None:
    return next((resource for resource in wanted if isinstance(resource, KubeadmInit)), None)
