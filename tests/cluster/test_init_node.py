"""The whole of init-node on a node of stand-ins: from nothing to a cluster with Cilium, again, killed, failed, and back."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from tests.cluster.conftest import NewHost
from tests.cluster.host import ADMIN, SEED, SEEDS_ROUTER, Host, arrived

pytestmark = [pytest.mark.root, pytest.mark.slow]
SET = ("--set", "runtimes=[runc]")
CONVERGED, FAILED, LOCKED = 0, 3, 5
HELM = f"helm --kubeconfig {ADMIN} -n kube-system"
# Somebody logged in: the node's end of a connection to port 22, and the other end behind the router.
SSHD = "import socket,time; s=socket.create_server(('', 22)); c=s.accept(); time.sleep(300)"
SSH = "import socket,time; c=socket.create_connection(('10.1.0.5', 22), source_address=('203.0.113.9', 0)); time.sleep(300)"


def init(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    return host.caasctl("init-node", "--yes", *SET, *words)


def said(done: subprocess.CompletedProcess[str]) -> str:
    """All that was printed, without its line breaks."""
    return " ".join((done.stdout + done.stderr).split())


CNI = "/etc/cni/net.d"
# Texts, modes, owners and folders; not what caasctl, the stand-ins and containerd keep of their own.
TREE = r"""find /etc /var/lib -xdev \( -path /var/lib/caasctl -o -path /var/lib/standin -o -path /var/lib/containerd \) -prune \
  -o -printf '%p %y %m %U:%G %l\n'; find /etc -xdev -type f -exec sha256sum {} + | awk '{print $2, $1}'"""
STAYS = (
    "/etc/kubernetes",
    "/etc/kubernetes/caasctl",
    "/etc/kubernetes/caasctl/encryption.yaml",
)


def tree(host: Host) -> set[str]:
    """Without what undo says that it leaves, and what Cilium leaves itself."""
    return {line for line in host.sh(TREE).splitlines() if line.split()[0] not in STAYS}


def statuses(host: Host) -> list[str]:
    return [one["status"] for one in json.loads(host.sh(f"{HELM} history cilium -o json"))]


def ranges_arrived(host: Host) -> None:
    """The field report's host: its own network is 10.254.192.0/24, and what auto chose instead is the same everywhere."""
    found = arrived(host)
    assert found["cluster-cidr"] == found["cluster-pool-ipv4-cidr"] == "10.244.0.0/16"
    assert found["service-cluster-ip-range"] == "10.96.0.0/16"
    assert found["node-cidr-mask-size-ipv4"] == found["cluster-pool-ipv4-mask-size"] == "24"
    assert found["node"] == "10.244.0.0/24"


def test_from_nothing_to_a_node_again_without_a_change_and_back(new_host: NewHost) -> None:
    host = new_host(SEED, SEEDS_ROUTER)
    before, files = host.sh("ip route").splitlines(), tree(host)
    first = init(host)
    assert first.returncode == CONVERGED, said(first)
    assert "changes made and verified" in said(first)
    ranges_arrived(host)
    assert statuses(host) == ["deployed"]
    (node,) = host.get("nodes")["items"]
    assert {one["type"]: one["status"] for one in node["status"]["conditions"]}["Ready"] == "True"
    assert node["spec"].get("taints", []) == []
    host.sh("kubectl get pods")  # by root's own kubeconfig
    calls = len(host.calls("kubeadm init")), len(host.calls("helm upgrade"))
    second = init(host)
    assert second.returncode == CONVERGED
    assert "Converged: nothing had to change" in said(second)
    assert (len(host.calls("kubeadm init")), len(host.calls("helm upgrade"))) == calls == (1, 1)
    looked = host.caasctl("preflight", *SET)
    assert looked.returncode == 0, looked.stdout
    assert " FAIL " not in looked.stdout
    assert "token" not in host.text("/etc/kubernetes/caasctl/kubeadm.yaml").lower()
    host.sh(
        f"test -e {CNI}/05-cilium.conflist; echo '{{}}' >{CNI}/10-other.conflist.cilium_bak"
    )  # as Cilium renames it
    undone = host.caasctl("undo", "--yes")
    assert undone.returncode == 0, said(undone)
    assert host.sh(f"ls -A {CNI}").split() == ["10-other.conflist"]
    host.sh(f"rm {CNI}/10-other.conflist")
    assert tree(host) == files
    assert not host.path(ADMIN).exists()
    assert not host.path("/etc/kubernetes/manifests/etcd.yaml").exists()
    assert not host.path("/root/.kube/config").exists()
    assert "10250" not in host.sh("ss -Hltn")
    assert "stay until the next boot" in said(undone)
    assert [line for line in host.sh("ip route").splitlines() if "cilium_host" not in line] == before
    again = init(host, "--skip-phases", "cilium")  # what Cilium left behind is in nobody's way
    assert again.returncode == CONVERGED, said(again)
    assert host.get("nodes")["items"][0]["spec"]["podCIDR"] == node["spec"]["podCIDR"]


# What init-node does, with another run between its plan and its changes.
BETWEEN = """
from caasctl import apply, commands
from caasctl.host import LiveHost

here, phases = LiveHost(), commands.chosen(["host"], None)
session = commands.Session("single-node", ["runtimes=[runc]"])
facts, planned = session.plan(phases)
with here.lock(apply.LOCK, "another run"):
    here.write("/etc/modules-load.d/zz-caasctl.conf", b"# somebody's now")
made = session.apply(phases, facts, ["init-node"], print, print)
print(*planned.phases[0].changes, "then", *(change.resource.name for change in made.phases[0].changes))
"""


def test_what_another_run_did_after_the_plan_is_seen(host: Host) -> None:
    assert init(host, "--phase", "host").returncode == CONVERGED
    done = host.run(sys.executable, "-c", BETWEEN)
    assert done.stdout.splitlines()[-1:] == ["then file:/etc/modules-load.d/zz-caasctl.conf"], said(done)


def killed(host: Host, done: set[str]) -> str:
    """Runs init-node and kills it when it begins a change that is not in `done`; "" where it comes to its end."""
    process = host.start(sys.executable, "-m", "caasctl", "init-node", "--yes", *SET)
    assert process.stderr
    for line in process.stderr:
        _, _, change = line.strip().partition(": ")
        if ":" in change and " " not in change and change not in done:
            host.kill(process)
            return change
    process.communicate()
    assert process.returncode == CONVERGED
    return ""


def test_killed_at_every_change_it_goes_on_to_the_end(host: Host) -> None:
    done: set[str] = set()
    while change := killed(host, done):
        done.add(change)
        deadline = time.monotonic() + 30  # a program that it had started goes on and holds the lock
        while host.caasctl("init-node", "--yes", *SET, "--phase", "boot").returncode == LOCKED:
            assert time.monotonic() < deadline, change
            time.sleep(0.2)
    assert {"kubeadm:init", "helm:cilium", "unit:kubelet.service"} <= done
    assert said(init(host)).count("Converged: nothing had to change") == 1
    assert len(host.calls("kubeadm init")) == 1


@pytest.mark.parametrize("at", ["certs", "/etc/kubernetes/admin.conf", "kubelet-start"])
def test_an_init_that_died_is_said_to_be_partial_and_is_not_run_over(host: Host, at: str) -> None:
    host.fail("kubeadm-kill", f"{at} parent")
    assert init(host, "--skip-phases", "cilium").returncode != CONVERGED
    again = init(host, "--skip-phases", "cilium")
    if at == "certs":  # nothing was written yet
        assert again.returncode == CONVERGED, said(again)
        return
    assert again.returncode != CONVERGED
    assert "kubeadm reset" in said(again)
    assert len(host.calls("kubeadm init")) == 1
    host.sh("kubeadm reset --force --cri-socket unix:///run/containerd/containerd.sock")
    assert init(host, "--skip-phases", "cilium").returncode == CONVERGED


@pytest.mark.parametrize("at", ["mark-control-plane", "addon"])
def test_an_init_that_died_at_its_last_steps_is_finished_by_the_next_run(host: Host, at: str) -> None:
    """kubeadm-config is there by then, but tokens, marks or CoreDNS are not."""
    host.fail("kubeadm-kill", f"once {at} parent")
    assert init(host, "--skip-phases", "cilium").returncode != CONVERGED
    again = init(host, "--skip-phases", "cilium")
    assert again.returncode == CONVERGED, said(again)
    assert "coredns" in {one["metadata"]["name"] for one in host.get("deployments", "-n", "kube-system")["items"]}
    assert "node-role.kubernetes.io/control-plane" in host.get("nodes")["items"][0]["metadata"]["labels"]
    assert len([call for call in host.calls("kubeadm init") if "phase" not in call]) == 1
    assert said(init(host, "--skip-phases", "cilium")).count("Converged: nothing had to change") == 1


def test_what_somebody_else_began_is_not_offered_to_be_reset(host: Host) -> None:
    host.write("/etc/kubernetes/pki/ca.crt", "theirs")
    host.write("/etc/kubernetes/kubelet.conf", "theirs")
    done = init(host, "--skip-phases", "cilium")
    assert done.returncode != CONVERGED
    assert "/etc/kubernetes/kubelet.conf" in said(done)
    assert host.calls("kubeadm init") == []
    assert host.text("/etc/kubernetes/pki/ca.crt") == "theirs"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("kubelet", "failed to run Kubelet: running with swap on is not supported, please disable swap", "running with swap on is not supported"),
        ("kube-apiserver", 'E1125 run.go:72] "command failed" err="failed to create listener: bind: address already in use"', "address already in use"),
        ("kubeadm-pull", "kube-apiserver", "no such host"),
    ],
)  # fmt: skip
def test_a_failed_init_says_the_reason_of_who_failed(host: Host, name: str, text: str, words: str) -> None:
    host.put("wait-seconds", "1.5")
    host.fail(name, text)
    done = init(host, "--skip-phases", "cilium")
    assert done.returncode == FAILED
    assert words in said(done)


def test_a_failed_or_killed_release_is_mended_by_the_next_run(host: Host) -> None:
    host.fail("helm-fail", "once context deadline exceeded")
    first = init(host)
    assert first.returncode == FAILED
    assert "context deadline exceeded" in said(first)
    host.fail("helm-kill", "pending parent")
    assert init(host).returncode != CONVERGED
    assert statuses(host)[-1].startswith("pending")
    last = init(host)
    assert last.returncode == CONVERGED, said(last)
    assert statuses(host)[-1] == "deployed"


def test_cilium_goes_again_where_the_gateway_is_lost_to_it(host: Host) -> None:
    host.fail("cilium-network", "once peer 10.1.0.1")
    done = init(host)
    assert done.returncode == FAILED
    assert "10.1.0.1" in said(done)
    host.until("ip route get 10.1.0.1 | grep -q 'dev eth0'")
    assert "cilium_host" not in host.sh("ip link")


def test_cilium_goes_again_where_who_is_logged_in_is_lost_to_it(new_host: NewHost) -> None:
    host = new_host()
    host.sh("ip -n router addr add 203.0.113.9/32 dev lo")
    host.background(sys.executable, "-c", SSHD)
    host.until("ss -Hltn | grep -q ':22 '")
    host.background("ip", "netns", "exec", "router", sys.executable, "-c", SSH)
    host.until("ss -Htn state established | grep -q 203.0.113.9")
    host.fail("cilium-network", "once peer 203.0.113.9")
    done = init(host)
    assert done.returncode == FAILED
    assert "203.0.113.9" in said(done)
    assert "dev eth0" in host.sh("ip route get 203.0.113.9")


def test_right_after_a_boot_it_waits_for_the_api_server_that_is_on_its_way(host: Host) -> None:
    assert init(host).returncode == CONVERGED
    away = "/etc/kubernetes/manifests/kube-apiserver.yaml"
    host.sh(f"mv {away} /root/away")
    host.until(f"! kubectl --kubeconfig {ADMIN} get nodes", 20)
    host.sh(
        "echo '200.0 1.0' >/run/up; sed \"s/^btime .*/btime $(($(date +%s) - 200))/\" /proc/stat >/run/stat;"
        "mount --bind /run/up /proc/uptime; mount --bind /run/stat /proc/stat"
    )
    host.sh(f"(sleep 4; mv /root/away {away}) >/dev/null 2>&1 &")
    done = init(host)
    host.sh("umount /proc/uptime /proc/stat")
    assert done.returncode == CONVERGED, said(done)
    assert "its API server does not answer yet: waiting for it" in said(done)


def test_what_came_while_the_question_stood_is_seen_before_the_first_change(host: Host) -> None:
    assert (
        init(host, "--skip-phases", "kubeadm", "--skip-phases", "cilium", "--skip-phases", "cluster").returncode
        == CONVERGED
    )
    command = f"{sys.executable} -m caasctl init-node --phase kubeadm {' '.join(SET)}"
    other = "mkdir -p /etc/kubernetes/manifests; echo '{}' >/etc/kubernetes/manifests/kube-apiserver.yaml"
    done = host.run("sh", "-c", f"(sleep 30; {other}; echo y; sleep 60) | script -qec '{command}' /dev/null")
    assert "Make these changes? [y/N]: y" in said(done)
    assert "kubernetes.leftovers" in said(done)
    assert host.calls("kubeadm init") == []


def test_doctor_judges_by_the_profile_that_the_node_was_made_by(host: Host) -> None:
    mine = {
        "apiVersion": "caasctl.io/v1alpha1",
        "kind": "NodeProfile",
        "metadata": {"name": "rack-7"},
        "extends": "single-node",
    }
    host.write("/root/rack-7.yaml", json.dumps({**mine, "spec": {"containerd": {"defaultRuntime": "runc"}}}))
    only = [word for name in ("boot", "kubeadm", "cilium", "cluster") for word in ("--skip-phases", name)]
    made = host.sh(
        f"cd /root && {sys.executable} -m caasctl init-node --yes --profile rack-7.yaml {' '.join((*SET, *only))}"
    )
    assert "made and verified" in " ".join(made.split())
    assert host.path("/var/lib/caasctl/made-by.json").stat().st_mode & 0o777 == 0o600
    told = json.loads(host.caasctl("doctor", "-o", "json").stdout)
    assert told["profile"] == "rack-7"
    assert "--profile /root/rack-7.yaml" in told["command"]
    assert "runtimes=[runc]" in told["command"]
    assert "Judged by what the init-node of 20" in " ".join(told["notes"])
    assert (
        json.loads(host.caasctl("doctor", "--profile", "single-node", "-o", "json").stdout)["profile"] == "single-node"
    )
    (found,) = json.loads(host.caasctl("preflight", "--check", "os.made_by", "-o", "json").stdout)["results"]
    assert (found["level"], found["wanted"]) == ("warn", "rack-7")
    host.sh("rm /root/rack-7.yaml")
    lost = json.loads(host.caasctl("doctor", "-o", "json").stdout)
    assert lost["profile"] == "single-node"
    assert "/root/rack-7.yaml, by which this node was made, cannot be used" in " ".join(lost["notes"])
