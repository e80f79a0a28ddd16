"""What services are told to reach without the profile's proxy, on a recorded host: this node and the cluster's own."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from caasctl import commands
from caasctl.facts.ownership import PROXY
from caasctl.phases import ORDER

HOST = Path(__file__).parents[1] / "hosts" / "epyc-debian13-bare"


def test_containerd_and_kubelet_reach_node_pods_and_services_themselves(tmp_path: Path) -> None:
    settings = ["proxy.https=http://proxy.example:3128", "proxy.noProxy=[.corp.example]"]
    session = commands.Session("single-node", settings, str(HOST))
    out = tmp_path / "out"
    commands.render(session, ORDER, str(out))
    told = dict(line.partition("=")[::2] for line in (out / PROXY.lstrip("/")).read_text().splitlines() if "=" in line)
    around = told["NO_PROXY"].strip('"').split(",")
    assert told["no_proxy"].strip('"').split(",") == around
    assert told["HTTPS_PROXY"].strip('"') == "http://proxy.example:3128"
    kubeadm = (out / "etc/kubernetes/caasctl/kubeadm.yaml").read_text()
    networks = [name for name in around if "/" in name]
    assert {f"podSubnet: {name}" for name in networks} & {line.strip() for line in kubeadm.splitlines()}
    assert {f"serviceSubnet: {name}" for name in networks} & {line.strip() for line in kubeadm.splitlines()}
    assert {".corp.example", ".svc", ".cluster.local", "localhost", "127.0.0.1"} <= {*around}
    node = next(line.partition("advertiseAddress: ")[2] for line in kubeadm.splitlines() if "advertiseAddress" in line)
    assert node in around
    assert ipaddress.ip_address(node)
