"""The steps of init-node, in order."""

from caasctl.phases import boot, cilium, cluster, containerd, gpu, host, kata, kubeadm, packages
from caasctl.protocol import Phase

ORDER: tuple[Phase, ...] = (
    host.PHASE,
    packages.PHASE,
    boot.PHASE,
    gpu.PHASE,
    kata.PHASE,
    containerd.PHASE,
    kubeadm.PHASE,
    cilium.PHASE,
    cluster.PHASE,
)
