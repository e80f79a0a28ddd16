"""The stand-ins of kubeadm, the kubelet and the API server: as strict as the real ones, asked by Debian's real kubectl."""

from __future__ import annotations

import json
import sys

import pytest
from tests.cluster.conftest import NewHost
from tests.cluster.documents import CLUSTER, INIT, JOIN, KUBEADM, KUBELET, Document, changed, file
from tests.cluster.host import ADMIN, Host

pytestmark = [pytest.mark.root]
ASK = f"kubectl --kubeconfig {ADMIN} -n kube-system get configmap kubeadm-config -o jsonpath={{.data.ClusterConfiguration}}"

ANONYMOUS = """\
import ssl, sys, urllib.request
tls = ssl._create_unverified_context()
print(urllib.request.urlopen("https://10.1.0.5:6443" + sys.argv[1], context=tls).read().decode())
"""


def ready(host: Host, *documents: Document) -> None:
    """A host on which init would succeed, and its documents."""
    host.write(KUBEADM, file(*(documents or (INIT, CLUSTER, KUBELET))))
    host.sh("echo 1 >/proc/sys/net/ipv4/ip_forward; systemctl enable kubelet.service")


def begun(host: Host, *documents: Document) -> str:
    ready(host, *documents)
    return host.sh(f"kubeadm init --config {KUBEADM}")


def test_init_leaves_a_cluster_that_the_real_kubectl_asks(host: Host) -> None:
    said = begun(host)
    assert "Your Kubernetes control-plane has initialized successfully!" in said
    assert "podSubnet: 10.244.0.0/16" in host.sh(ASK)
    (node,) = host.get("nodes")["items"]
    assert node["spec"]["podCIDR"] == "10.244.0.0/24"
    assert {"type": "InternalIP", "address": "10.1.0.5"} in node["status"]["addresses"]
    assert "cni plugin not initialized" in json.dumps(node["status"])
    manifest = host.text("/etc/kubernetes/manifests/kube-apiserver.yaml")
    assert "--service-cluster-ip-range=10.96.0.0/16" in manifest
    assert "--enable-admission-plugins=NodeRestriction" in manifest
    names = host.sh("openssl x509 -in /etc/kubernetes/pki/apiserver.crt -noout -ext subjectAltName")
    assert "IP Address:10.96.0.1, IP Address:10.1.0.5" in names
    assert "coredns" in host.sh(f"kubectl --kubeconfig {ADMIN} -n kube-system get deployments")
    assert "doesn't have a resource type" in host.run("kubectl", "--kubeconfig", ADMIN, "get", "ciliumnodes").stderr
    assert "[ERROR Port-6443]: Port 6443 is in use" in host.run("kubeadm", "init", "--config", KUBEADM).stderr


def test_anonymous_users_see_what_kubeadm_opens_to_them_and_no_more(host: Host) -> None:
    begun(host)
    host.write("/root/ask.py", ANONYMOUS)  # kubectl without credentials asks for a name and a password
    info = f"{sys.executable} /root/ask.py /api/v1/namespaces/kube-public/configmaps/cluster-info"
    host.until(f"{info} | grep -q jws-kubeconfig-")
    assert "certificate-authority-data" in json.loads(host.sh(info))["data"]["kubeconfig"]
    refused = host.run(sys.executable, "/root/ask.py", "/api/v1/namespaces/kube-system/secrets")
    assert "HTTP Error 403: Forbidden" in refused.stderr


def test_reset_removes_what_kubeadm_made_and_leaves_what_it_leaves(host: Host) -> None:
    begun(host)
    host.write("/etc/cni/net.d/05-cilium.conflist", "{}")
    host.write("/root/.kube/config", "mine")
    host.sh("kubeadm reset --force --cri-socket unix:///run/containerd/containerd.sock")
    assert not host.path(ADMIN).exists()
    assert list(host.path("/var/lib/etcd").iterdir()) == []
    assert host.path("/etc/cni/net.d/05-cilium.conflist").exists()
    assert host.text("/root/.kube/config") == "mine"
    assert "6443" not in host.sh("ss -Hltn")
    begun(host)


@pytest.mark.parametrize(
    ("document", "path", "value", "said"),
    [
        (CLUSTER, "apiServer.extraArg", [], 'strict decoding error: unknown field "apiServer.extraArg"'),
        (CLUSTER, "apiServer.extraArgs", {"a": "b"}, "cannot unmarshal object into Go struct field ClusterConfiguration.apiServer.extraArgs"),
        (CLUSTER, "apiVersion", "kubeadm.k8s.io/v1beta3", "uses an old API spec"),
        (CLUSTER, "networking.serviceSubnet", "10.0.0.0/8", "specified service subnet is too large; for 32-bit addresses, the mask must be >= 12"),
        (CLUSTER, "networking.podSubnet", "10.244.0.0/25", "the size of pod subnet with mask 25 is smaller than the size of node subnet with mask 24"),
        (CLUSTER, "networking.podSubnet", "10.0.0.0/7", "pod subnet mask (7) and node-mask (24) difference is greater than 16"),
        (CLUSTER, "networking.podSubnet", "10.0.0.0/16,10.1.0.0/16", "two CIDRs from each family for dual-stack networking"),
        (CLUSTER, "apiServer.certSANs", ["no_name"], "altname is not a valid IP address, DNS label"),
        (INIT, "nodeRegistration.criSocket", "/run/containerd/containerd.sock", 'only URL scheme "unix" is supported, got ""'),
        (INIT, "localAPIEndpoint.advertiseAddress", "node1", "ip address is not valid"),
        (INIT, "certificateKey", "ab", "invalid certificate key size"),
        (KUBELET, "runtimeRequestTimeout", "15", 'time: invalid duration "15"'),
        (KUBELET, "podPidsLimits", 1, 'unknown field "podPidsLimits"'),
        (KUBELET, "maxPods", "110", "cannot unmarshal string into Go struct field KubeletConfiguration.maxPods of type int32"),
    ],
)  # fmt: skip
def test_documents_are_judged(host: Host, document: Document, path: str, value: object, said: str) -> None:
    documents = [changed(one, path, value) if one is document else one for one in (INIT, CLUSTER, KUBELET)]
    host.write(KUBEADM, file(*documents))
    done = host.run("kubeadm", "config", "validate", "--config", KUBEADM)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr


def test_preflight_names_what_is_in_the_way(host: Host) -> None:
    ready(host)
    host.sh("echo 0 >/proc/sys/net/ipv4/ip_forward; systemctl stop containerd; mkdir -p /var/lib/etcd/member /etc/kubernetes/manifests;"
            "touch /etc/kubernetes/manifests/etcd.yaml")  # fmt: skip
    said = host.run("kubeadm", "init", "--config", KUBEADM).stderr
    for name in ("CRI", "FileContent--proc-sys-net-ipv4-ip_forward", "FileAvailable--etc-kubernetes-manifests-etcd.yaml",
                 "DirAvailable--var-lib-etcd"):  # fmt: skip
        assert f"[ERROR {name}]" in said
    assert not host.path("/etc/kubernetes/pki").exists()
    mixed = host.run("kubeadm", "init", "--config", KUBEADM, "--pod-network-cidr", "10.0.0.0/16")
    assert "can not mix '--config' with arguments [pod-network-cidr]" in mixed.stderr


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "kubelet",
            "failed to run Kubelet: misconfiguration: kubelet cgroup driver",
            "The kubelet is not healthy after",
        ),
        ("kube-apiserver", "panic: out of memory", "kube-apiserver is not healthy after"),
        ("kubeadm-pull", "etcd", 'failed to pull image "registry.k8s.io/etcd'),
        (
            "kubeadm-fail",
            "upload-config etcdserver: request timed out",
            "error execution phase upload-config: etcdserver: request timed out",
        ),
    ],
)
def test_failures_on_demand(host: Host, name: str, text: str, said: str) -> None:
    ready(host)
    host.put("wait-seconds", "1.5")
    host.fail(name, text)
    done = host.run("kubeadm", "init", "--config", KUBEADM)
    assert done.returncode == 1
    assert said in done.stdout + done.stderr
    if name in ("kubelet", "kube-apiserver"):
        logs = (
            "journalctl -u kubelet -n 50 --no-pager -o cat"
            if name == "kubelet"
            else "cat /var/log/pods/kube-system_kube-apiserver-*/*/*.log"
        )
        assert text in host.sh(logs)


def test_an_api_server_that_is_given_what_is_not_there_says_so(host: Host) -> None:
    arguments = [{"name": "audit-policy-file", "value": "/etc/kubernetes/caasctl/audit-policy.yaml"}]
    ready(host, INIT, changed(CLUSTER, "apiServer.extraArgs", arguments), KUBELET)
    host.put("wait-seconds", "1.5")
    assert host.run("kubeadm", "init", "--config", KUBEADM).returncode == 1
    assert "open /etc/kubernetes/caasctl/audit-policy.yaml: no such file or directory" in host.sh(
        "cat /var/log/pods/kube-system_kube-apiserver-*/*/*.log"
    )


def test_killed_half_way_it_leaves_the_files_before(host: Host) -> None:
    ready(host)
    host.fail("kubeadm-kill", "/etc/kubernetes/admin.conf")
    assert host.run("kubeadm", "init", "--config", KUBEADM).returncode == -9
    assert host.path(ADMIN).exists()
    assert not host.path("/etc/kubernetes/kubelet.conf").exists()
    assert host.path("/etc/kubernetes/pki/apiserver.crt").exists()
    assert not host.path("/etc/kubernetes/manifests").exists()


def test_a_worker_joins_with_a_token_and_the_hash_of_the_ca(new_host: NewHost) -> None:
    """The control plane is another process of the same host: the node that joins is the same one after its own files went."""
    host = new_host()
    said = begun(host)
    token, digest = said.split("--token ")[1].split()[0], said.split("--discovery-token-ca-cert-hash ")[1].split()[0]
    host.sh(
        "systemctl stop kubelet; cp -r /etc/kubernetes /etc/kubernetes.cp; rm -r /etc/kubernetes/kubelet.conf /etc/kubernetes/pki/ca.crt"
    )
    discovery = {"apiServerEndpoint": "10.1.0.5:6443", "token": token, "caCertHashes": [digest]}
    join: Document = {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "JoinConfiguration", "discovery": {"bootstrapToken": discovery},
                      "nodeRegistration": {**INIT["nodeRegistration"], "name": "node2"}}  # fmt: skip
    host.write(JOIN, file(changed(join, "discovery.bootstrapToken.caCertHashes", ["sha256:" + "0" * 64])))
    assert "are pinned" in host.run("kubeadm", "join", "--config", JOIN).stderr
    host.write(JOIN, file(join))
    # The CA's certificate is where the control plane and the worker both want it, so the controller manager signs again.
    joined = host.run("kubeadm", "join", "--config", JOIN)
    assert "This node has joined the cluster" in joined.stdout, joined.stderr
    assert "node2" in host.sh(f"kubectl --kubeconfig {ADMIN} get nodes")
    assert token not in host.text("/etc/kubernetes/kubelet.conf")
    assert not host.path("/etc/kubernetes/bootstrap-kubelet.conf").exists()
