"""caasctl token on a node of stand-ins, by a real kubectl: what it makes is what join-node takes, and no secret is anywhere else."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.cluster.host import ADMIN, Host, Programs
from tests.cluster.test_init_node import CONVERGED, init, said

from caasctl.syntax.join import given

pytestmark = [pytest.mark.root, pytest.mark.slow]
DONE, REFUSED, USAGE, FAILED = 0, 1, 2, 3
FILE = "/root/join.yaml"
KUBECTL = f"kubectl --kubeconfig {ADMIN}"
TOKEN, KEY = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b"), re.compile(r"\b[0-9a-f]{64}\b")


@pytest.fixture(scope="module")
def node(found: Programs) -> Iterator[Host]:
    host = Host(found)
    done = init(host, "--set", "kubernetes.controlPlaneEndpoint=10.1.0.5:6443")
    assert done.returncode == CONVERGED, said(done)
    yield host
    host.close()


@pytest.fixture(autouse=True)
def clean(node: Host) -> Iterator[None]:
    yield
    node.sh("rm -f /var/lib/standin/fail/* /root/join.yaml")
    assert not node.path("/run/caasctl/stage/token").exists()


def create(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    return host.caasctl("token", "create", *words)


def ids(host: Host) -> set[str]:
    return {one["id"] for one in json.loads(host.caasctl("token", "list", "-o", "json").stdout)["tokens"]}


def test_the_file_is_what_join_node_takes_and_no_secret_is_elsewhere(node: Host) -> None:
    calls = len(node.calls())
    done = create(node, "--out", FILE, "--ttl", "2h", "--description", "rack 4")
    assert done.returncode == DONE, said(done)
    assert node.path(FILE).stat().st_mode & 0o777 == 0o600
    told = given.parse(node.text(FILE), FILE)
    assert told.endpoint == "10.1.0.5:6443"
    assert len(told.ca_hashes) == 1
    assert told.certificate_key == ""
    assert not TOKEN.search(done.stdout + done.stderr)
    assert told.token.partition(".")[2] not in done.stdout + done.stderr + "\n".join(node.calls()[calls:])
    assert (
        node.run("grep", "-rl", told.token.partition(".")[2], "/var/lib/caasctl", "/run/caasctl", "/var/log").stdout
        == ""
    )
    assert "--set network.podCIDR=10.244.0.0/16" in said(done)
    rows = json.loads(node.caasctl("token", "list", "-o", "json").stdout)["tokens"]
    (row,) = [one for one in rows if one["id"] == told.token.partition(".")[0]]
    assert row["usages"] == ["authentication", "signing"]
    assert row["description"] == "rack 4"
    assert row["expires"]


def test_a_worker_is_planned_from_the_file_as_it_is(node: Host) -> None:
    assert create(node, "--out", FILE).returncode == DONE
    planned = node.caasctl("join-node", "--profile", "worker", "--token-file", FILE, "--dry-run", "-o", "json")
    found = {one["id"]: one["level"] for one in json.loads(planned.stdout)["results"]}
    # The node is in a cluster already, so nothing is asked of it; the file was read and taken.
    assert found, said(planned)
    words = f"{sys.executable} -m caasctl"
    piped = node.run("sh", "-c", f"{words} token create --show | {words} join-node --token-file - --dry-run -o json")
    assert json.loads(piped.stdout)["command"].startswith("join-node")


def test_a_control_plane_gets_the_key_to_the_certificates(node: Host) -> None:
    calls = len(node.calls())
    done = create(node, "--control-plane", "--out", FILE, "-o", "json")
    assert done.returncode == DONE, said(done)
    told = given.parse(node.text(FILE), FILE)
    assert KEY.fullmatch(told.certificate_key)
    assert told.certificate_key not in done.stdout + done.stderr + "\n".join(node.calls()[calls:])
    data = json.loads(done.stdout)
    assert data["role"] == "control-plane"
    assert data["profile"]["spec"]["kubernetes"] == {"version": "v1.36.4", "controlPlaneEndpoint": "10.1.0.5:6443"}
    assert "token" not in data
    assert "encryption.yaml" in " ".join(data["notes"])
    assert node.get("secret", "kubeadm-certs", "-n", "kube-system")["data"]
    assert "joins no control plane any more" not in " ".join(data["notes"])
    again = json.loads(create(node, "--control-plane", "--out", "/root/second.yaml", "-o", "json").stdout)
    assert "joins no control plane any more" in " ".join(again["notes"])  # there is one copy, for the newest key


def test_it_prints_secrets_only_when_asked(node: Host) -> None:
    assert create(node).returncode == USAGE
    shown = create(node, "--show", "-o", "json")
    data = json.loads(shown.stdout)
    assert TOKEN.fullmatch(data["token"])
    listed = node.caasctl("token", "list")
    assert data["tokenId"] in listed.stdout
    assert data["token"].partition(".")[2] not in listed.stdout


def test_a_file_of_somebody_else_is_not_written_over_and_its_own_is(node: Host) -> None:
    node.write(FILE, "mine\n")
    before = ids(node)
    done = create(node, "--out", FILE)
    assert (done.returncode, node.text(FILE), ids(node)) == (USAGE, "mine\n", before)
    node.sh(f"rm {FILE}")
    assert create(node, "--out", FILE).returncode == DONE
    first = node.text(FILE)
    assert create(node, "--out", FILE).returncode == DONE
    assert node.text(FILE) != first
    node.sh(f"rm {FILE}; ln -s /root/else {FILE}")
    assert create(node, "--out", FILE).returncode == USAGE
    assert create(node, "--out", "/root/none/join.yaml").returncode == USAGE


@pytest.mark.parametrize(
    "words",
    [
        ("--ttl", "soon"),
        ("--ttl", "2d"),
        ("--ttl", "9223372036h"),
        ("--description", "a\nb"),
        ("--out", ""),
        ("-o", "html"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_made(node: Host, words: tuple[str, ...]) -> None:
    before = ids(node)
    assert create(node, "--show", *words).returncode == USAGE
    assert ids(node) == before


def test_a_token_that_cannot_be_written_down_is_taken_back(node: Host) -> None:
    before = ids(node)
    node.sh(
        "mkdir -p /root/full && mount -t tmpfs -o size=4k,mode=700 tmpfs /root/full && dd if=/dev/zero of=/root/full/fill bs=4k count=1 status=none"
    )
    done = create(node, "--out", "/root/full/join.yaml")
    node.sh("umount /root/full")
    assert done.returncode == FAILED, said(done)
    assert "the token was taken back" in said(done)
    assert ids(node) == before


def test_certificates_that_cannot_be_uploaded_are_said_and_no_token_is_made(node: Host) -> None:
    before = ids(node)
    node.sh("mv /etc/kubernetes/pki/etcd/ca.key /root/away")
    done = create(node, "--control-plane", "--show")
    node.sh("mv /root/away /etc/kubernetes/pki/etcd/ca.key")
    assert done.returncode == FAILED
    assert "etcd/ca.key" in said(done)
    assert ids(node) == before


def test_killed_when_the_token_is_there_the_next_one_makes_another(node: Host) -> None:
    node.fail("kubeadm-kill", "token parent")
    process = node.start(sys.executable, "-m", "caasctl", "token", "create", "--out", FILE)
    process.communicate()
    assert process.returncode == -signal.SIGKILL or process.returncode != DONE
    assert not node.path(FILE).exists()
    node.mend("kubeadm-kill")
    assert create(node, "--out", FILE).returncode == DONE
    assert "made by caasctl" in node.caasctl("token", "list").stdout


def test_a_silent_api_server_and_a_wrong_clock_are_named(node: Host) -> None:
    node.sh("systemctl stop kubelet; mv /etc/kubernetes/manifests/kube-apiserver.yaml /root/away")
    node.sh("kill $(grep -o '\"pid\": [0-9]*' /run/standin-pods/kube-apiserver.json | cut -d: -f2)")
    done = create(node, "--show")
    assert done.returncode == REFUSED
    assert "the API server does not answer" in said(done)
    node.sh("mv /root/away /etc/kubernetes/manifests/kube-apiserver.yaml; systemctl start kubelet")
    node.until(f"{KUBECTL} get --raw /readyz")


def test_a_host_that_is_no_control_plane_is_told_where_to_run_it(node: Host) -> None:
    node.sh(f"mv {ADMIN} /root/admin.conf")
    worker = create(node, "--show")
    node.sh(f"mv /root/admin.conf {ADMIN}")
    assert worker.returncode == REFUSED
    assert "it is a worker" in said(worker)
    assert "run it on a control plane" in said(worker)
