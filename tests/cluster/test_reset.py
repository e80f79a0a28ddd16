"""The whole of reset on a node of stand-ins: back to what was before, what others own untouched, killed anywhere, again a node."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from tests.cluster.conftest import NewHost
from tests.cluster.host import ADMIN, Host

pytestmark = [pytest.mark.root, pytest.mark.slow]
SET = ("--set", "runtimes=[runc]")
DONE, REFUSED, LOCKED = 0, 1, 5
RESET = ("reset", "--yes")
FOLDERS = "/etc /root/.kube /opt/cni /var/lib/kubelet /var/lib/etcd /sys/fs/bpf /run/cilium"
NETWORK = (
    "ip -br link | cut -d' ' -f1",
    "ip -4 route show table all | grep -v broadcast",
    "ip -6 route show table 2004 2>/dev/null || true",
    "ip rule",
    "ip -6 rule",
    *(f"iptables -t {table} -S" for table in ("filter", "nat", "mangle", "raw")),
    "cat /proc/self/mounts | grep cilium || true",
)
RUNTIME = """\
version = 2

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.youki] # theirs
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.youki.options]
    BinaryName = "/usr/local/bin/youki"
"""
FOREIGN = {
    "/etc/containerd/config.toml": RUNTIME,
    "/etc/cni/net.d/87-podman.conflist": '{"name": "podman"}',
    "/etc/docker/daemon.json": '{"iptables": true}',
    "/etc/systemd/system/docker.service.d/http-proxy.conf": "[Service]\n",
    "/etc/sysctl.d/99-docker.conf": "net.ipv4.ip_forward = 1\n",
    "/etc/modules-load.d/theirs.conf": "dummy\n",
    "/root/.kube/theirs": "apiVersion: v1\n",
}
EDITED = "/etc/sysctl.d/zz-caasctl.conf"


def foreign(host: Host) -> None:
    """What others own, before caasctl comes."""
    for path, text in FOREIGN.items():
        host.write(path, text)
    host.sh("chmod 640 /etc/docker/daemon.json; systemctl restart containerd.service")
    host.sh("ip route add 192.0.2.0/24 via 10.1.0.1; ip rule add from 198.51.100.0/24 lookup 300 pref 500")
    host.sh("iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER; iptables -t nat -A POSTROUTING -j MASQUERADE")


def state(host: Host, *without: str) -> dict[str, str]:
    """Files with modes and contents, links, and the kernel's network."""
    listed = host.sh(
        f"find {FOLDERS} ! -type d ! -path '/root/.kube/cache/*' -printf '%p %m %l\\n' 2>/dev/null || true"
    ).splitlines()
    found = {line.split()[0]: line for line in listed}
    for line in host.sh(
        f"find {FOLDERS} -type f ! -path '/root/.kube/cache/*' -exec sha256sum {{}} + 2>/dev/null || true"
    ).splitlines():
        digest, path = line.split(None, 1)
        found[path] += f" {digest}"
    network = {command: host.sh(command) for command in NETWORK}
    return {**{path: line for path, line in found.items() if path not in without}, **network}


def init(host: Host) -> None:
    done = host.caasctl("init-node", "--yes", *SET)
    assert done.returncode == DONE, said(done)


def said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stdout + done.stderr).split())


def test_a_node_becomes_what_it_was_and_a_node_again(host: Host) -> None:
    foreign(host)
    before = state(host)
    init(host)
    assert host.path("/etc/cni/net.d/87-podman.conflist.cilium_bak").exists()
    planned = host.caasctl("reset", "--dry-run")
    assert planned.returncode == DONE, said(planned)
    assert "Nothing was changed." in said(planned)
    assert "It is the cluster's only control plane" in said(planned)
    assert host.path(ADMIN).exists()
    done = host.caasctl(*RESET)
    assert done.returncode == DONE, said(done)
    assert "No return etcd's data" in said(done)
    assert state(host) == before
    assert host.sh("systemctl is-active containerd.service || true").strip() == "active"
    assert "nothing to take back" in said(host.caasctl("undo", "--yes"))
    calls = len(host.calls())
    again = host.caasctl(*RESET)
    assert again.returncode == DONE
    assert "Nothing to do: nothing on this host is caasctl's." in said(again)
    assert [call for call in host.calls()[calls:] if not call.startswith("systemctl show")] == []
    init(host)
    assert host.get("nodes")["items"][0]["metadata"]["name"] == "node1"


def test_an_edited_file_stays_byte_for_byte_however_often_a_node_is_reset(host: Host) -> None:
    before = state(host)
    init(host)
    host.write(EDITED, host.text(EDITED) + "vm.swappiness = 1\n")
    mine = host.text(EDITED)
    for _ in range(2):
        done = host.caasctl(*RESET)
        assert done.returncode == DONE, said(done)
        assert f"{EDITED} was edited since" in said(done)
        assert host.text(EDITED) == mine
    assert state(host, EDITED) == before


def test_without_a_record_what_bears_caasctls_mark_goes_and_nothing_else(host: Host) -> None:
    foreign(host)
    before = state(host, "/etc/containerd/config.toml")
    init(host)
    host.sh("rm -r /var/lib/caasctl")
    done = host.caasctl(*RESET)
    assert done.returncode == DONE, said(done)
    assert "The record of caasctl's runs is not there" in said(done)
    after = state(host, "/etc/containerd/config.toml")
    enabled = "/etc/systemd/system/multi-user.target.wants/"
    assert {key: value for key, value in after.items() if not key.startswith(enabled)} == {
        key: value for key, value in before.items() if not key.startswith(enabled)
    }
    assert "youki" in host.text("/etc/containerd/config.toml")
    assert "zz-caasctl" not in host.text("/etc/containerd/config.toml")


def killed(host: Host, done: set[str]) -> str:
    """Runs reset and kills it when it begins a change that is not in `done`; "" where it comes to its end."""
    process = host.start(sys.executable, "-m", "caasctl", *RESET)
    assert process.stderr
    for line in process.stderr:
        phase, _, change = line.strip().partition(": ")
        if phase.startswith("reset-") and " " not in change and change and change not in done:
            host.kill(process)
            return change
    process.communicate()
    assert process.returncode == DONE
    return ""


def test_killed_at_every_change_it_goes_on_to_the_end(host: Host) -> None:
    foreign(host)
    before = state(host)
    init(host)
    done: set[str] = set()
    while change := killed(host, done):
        done.add(change)
        deadline = time.monotonic() + 30
        while host.run("flock", "-n", "/run/caasctl/lock", "true").returncode:  # a program that it had started goes on
            assert time.monotonic() < deadline, change
            time.sleep(0.2)
    assert {"kubeadm:reset", "cilium:links", "containerd", "record:runs", "folder:/etc/kubernetes/caasctl"} <= done
    assert state(host) == before


@pytest.mark.parametrize(
    "at", ["remove-etcd-member", "/etc/kubernetes/manifests", "/var/lib/kubelet", "/etc/kubernetes/pki", ADMIN]
)
def test_a_kubeadm_that_dies_while_it_resets_is_run_again(host: Host, at: str) -> None:
    before = state(host)
    init(host)
    host.fail("kubeadm-kill", at)
    assert host.caasctl(*RESET).returncode != DONE
    done = host.caasctl(*RESET)
    assert done.returncode == DONE, said(done)
    assert state(host) == before


def test_a_silent_api_server_is_said_with_what_to_do(host: Host) -> None:
    init(host)
    host.sh("systemctl stop kubelet; mv /etc/kubernetes/manifests/kube-apiserver.yaml /root/away")
    host.sh("kill $(grep -o '\"pid\": [0-9]*' /run/standin-pods/kube-apiserver.json | cut -d: -f2)")
    planned = host.caasctl("reset", "--dry-run")
    assert "The API server does not answer" in said(planned)
    assert "etcdctl member remove ID" in said(planned)


def test_a_cluster_of_somebody_else_is_refused_and_not_touched(new_host: NewHost) -> None:
    host = new_host()
    host.write("/etc/kubernetes/pki/ca.crt", "theirs")
    host.write("/etc/kubernetes/kubelet.conf", "theirs")
    before = state(host)
    for words in (RESET, ("reset", "--dry-run")):
        done = host.caasctl(*words)
        assert done.returncode == REFUSED, said(done)
        assert "the cluster on this node was not begun by caasctl" in said(done)
        assert "kubeadm reset --force" in said(done)
    assert state(host) == before
    assert host.calls("kubeadm") == []


def test_a_host_that_has_nothing_of_caasctls_is_not_touched(host: Host) -> None:
    foreign(host)
    before = state(host)
    done = host.caasctl(*RESET)
    assert done.returncode == DONE
    assert "Nothing to do" in said(done)
    assert state(host) == before
    assert not host.path("/var/lib/caasctl").exists()
    assert not host.path("/run/caasctl").exists()
