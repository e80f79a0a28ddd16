"""The steps of init-node, in order."""

from caasctl.phases import boot, cilium, containerd, host, kata, kubeadm
from caasctl.protocol import Phase

ORDER: tuple[Phase, ...] = (
    host.PHASE,
    boot.PHASE,
    kata.PHASE,
    containerd.PHASE,
    kubeadm.PHASE,
    cilium.PHASE,
)
