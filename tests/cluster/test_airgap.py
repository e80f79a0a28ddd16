"""init-node --airgap on a node without a route: from nothing to a cluster, and not one packet leaves it but the kernel's own."""

from __future__ import annotations

import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.airgap import test_directory as folder
from tests.airgap.lab import COREDNS, ETCD, KUBERNETES, PAUSE, VERSION
from tests.cluster.conftest import NewHost
from tests.cluster.host import Host
from tests.standins.registry import Image, image

from caasctl.airgap.archive import archive
from caasctl.airgap.directory import Entry
from caasctl.airgap.registry import Found, Part, Source
from caasctl.host import LiveHost
from caasctl.syntax import image_name

pytestmark = [pytest.mark.root, pytest.mark.slow]
SET = ("--set", "runtimes=[runc]", "--set", "network.nodeIP=10.1.0.5")
NAMES = [*(f"{name}:{VERSION}" for name in KUBERNETES[:3]), ETCD, COREDNS, PAUSE, "e2e-test-images/busybox:1.36.1-1"]
IMAGES = [
    *(f"registry.k8s.io/{name}" for name in NAMES),
    "quay.io/cilium/cilium:v1.20.5",
    "quay.io/cilium/operator-generic:v1.20.5",
]
# Every frame on the node's one interface: 4 is outgoing (linux/if_packet.h); type and content of the frame in hex.
SNIFF = """
import socket
taker = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
taker.bind(("eth0", 0))
with open("/run/packets", "w", buffering=1) as out:
    print("ready", file=out)
    while True:
        data, about = taker.recvfrom(2048)
        print(about[2], data[12:14].hex(), data[14:].hex(), file=out)
"""
_OUT, _IPV6, _ICMP6, _DEADLINE_S = "4", "86dd", "3a", 900.0
_KERNELS = ("85", "87", "8f")  # router and neighbour solicitations, and reports of groups: RFC 4861, RFC 3810


def parts(made: Image) -> Found:
    """What the registry's client makes of an image, without a registry."""
    name = image_name.parse("x/y:1")
    assert name
    blobs = [Part(media, digest, len(data), data) for digest, (media, data) in made.blobs.items()]
    top = next(part for part in blobs if part.digest == made.top)
    return Found(name, top, tuple(blobs), Source(""))


def packed(place: Path, schema: Path) -> None:
    """A folder as pack leaves it, with images that a real containerd takes and a chart that the stand-in of helm does."""
    manifest = folder.packed(place)
    entries = tuple(entry for entry in manifest.entries if entry.kind != "image")
    for name in IMAGES:
        parsed = image_name.parse(name)
        assert parsed
        found = parts(image(name, ("amd64",)))
        LiveHost(str(place)).store(
            f"/images/{parsed.file_name}", archive(Found(parsed, found.top, found.parts, found.source)), 0o644
        )
        entries = (*entries, Entry("image", name, f"images/{parsed.file_name}", names=parsed.names))
    chart(place / "charts/cilium-1.20.5.tgz", schema)
    (place / "airgap.json").write_text(replace(manifest, entries=entries).text())
    folder.sums(place)


def chart(path: Path, source: Path) -> None:
    with tarfile.open(path, "w:gz") as opened:
        opened.add(source, "cilium")


def leaving(host: Host) -> list[str]:
    """Frames that the node sent, but for what its kernel says of itself on each link."""
    lines = [line.split() for line in host.text("/run/packets").splitlines()[1:]]
    sent = [(kind, data) for way, kind, data in lines if way == _OUT]
    return [f"{kind} {data}" for kind, data in sent if not (kind == _IPV6 and _of_kernel(data))]


def _of_kernel(data: str) -> bool:
    """Behind the header of 40 bytes; a report of groups has an option of 8 before it."""
    return (data[12:14] == _ICMP6 and data[80:82] in _KERNELS) or (data[12:14] == "00" and data[96:98] in _KERNELS)


def test_a_node_without_a_route_becomes_a_cluster_and_asks_nobody(new_host: NewHost, tmp_path: Path) -> None:
    host = new_host()
    packed(tmp_path, host.path("/var/lib/standin/repository/cilium-1.20.5"))
    host.sh("ip route del default")
    host.background(sys.executable, "-c", SNIFF)
    host.until("grep -q ready /run/packets")
    looked = host.caasctl("preflight", *SET, "--airgap", str(tmp_path))
    assert looked.returncode == 0, looked.stdout
    assert "network.default_route" not in looked.stdout
    process = host.start(sys.executable, "-m", "caasctl", "init-node", "--yes", *SET, "--airgap", str(tmp_path))
    out, err = process.communicate(timeout=_DEADLINE_S)
    assert process.returncode == 0, out + err
    assert "changes made and verified" in " ".join(out.split())
    assert set(host.sh("ctr -n k8s.io images ls -q").split()) >= set(IMAGES)
    assert host.calls("helm upgrade")[0].split()[4] == f"{tmp_path}/charts/cilium-1.20.5.tgz"
    assert leaving(host) == []
    again = host.caasctl("init-node", "--yes", *SET, "--airgap", str(tmp_path))
    assert "Converged: nothing had to change" in " ".join(again.stdout.split())


def test_a_flipped_byte_stops_it_before_the_host_is_looked_at(new_host: NewHost, tmp_path: Path) -> None:
    host = new_host()
    packed(tmp_path, host.path("/var/lib/standin/repository/cilium-1.20.5"))
    spoilt = tmp_path / "images/registry.k8s.io_etcd_3.6.11-0.tar"
    data = bytearray(spoilt.read_bytes())
    data[700] ^= 1
    spoilt.write_bytes(data)
    done = host.caasctl("init-node", "--yes", *SET, "--airgap", str(tmp_path))
    assert done.returncode == 1
    assert "registry.k8s.io_etcd_3.6.11-0.tar is not what its SHA-256 says" in " ".join(done.stderr.split())
    assert host.calls("kubeadm") == []
