"""What kubectl prints of a node's labels and resources."""

from __future__ import annotations

from pathlib import Path

import pytest

from caasctl.facts.gpu_node import GpuNode, parse, question, read_node
from caasctl.host import LiveHost
from caasctl.model import Unreadable
from caasctl.protocol import Completed
from caasctl.syntax.kubeadm import KUBELET_CONF

SAID = """\
{"kubernetes.io/hostname":"gpu-07","nvidia.com/gpu.present":"true","feature.node.kubernetes.io/pci-10de.present":"true"}
{"cpu":"64","hugepages-1Gi":"0","nvidia.com/gpu":"0","nvidia.com/pgpu":"4"}"""


class Answering(LiveHost):
    """The node GPU-07, whose kubectl says one thing."""

    def __init__(self, top: Path, **said: object) -> None:
        for path, text in ((KUBELET_CONF, ""), ("/proc/sys/kernel/hostname", "GPU-07\n")):
            place = top / path[1:]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        super().__init__(str(top))
        self._said = said

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        assert argv == question("gpu-07")
        return Completed(argv, **{"rc": 0, **self._said})  # type: ignore[arg-type]


def test_what_bears_nvidias_name_is_kept(tmp_path: Path) -> None:
    found = read_node(Answering(tmp_path, stdout=SAID))
    assert found == GpuNode(
        True, "gpu-07", {"nvidia.com/gpu.present": "true"}, {"nvidia.com/gpu": "0", "nvidia.com/pgpu": "4"}
    )


@pytest.mark.parametrize("text", ["", "{}", "{}\n{", "[]\n[]", "{}\n{}\n{}"])
def test_what_is_no_node_cannot_be_read(text: str) -> None:
    with pytest.raises(Unreadable):
        parse("gpu-07", text)


def test_no_node_a_silent_server_and_no_permission(tmp_path: Path) -> None:
    assert read_node(LiveHost(str(tmp_path))) == GpuNode()
    assert read_node(Answering(tmp_path / "silent", rc=1, stderr="refused")) == GpuNode()
    with pytest.raises(Unreadable, match="needs root"):
        read_node(Answering(tmp_path / "other", rc=1, stderr="open /etc/kubernetes/kubelet.conf: permission denied"))
