"""The steps of init-node, in order."""

from caasctl.phases import boot, cilium, cluster, containerd, host, kubeadm
from caasctl.protocol import Phase

ORDER: tuple[Phase, ...] = (host.PHASE, boot.PHASE, containerd.PHASE, kubeadm.PHASE, cilium.PHASE, cluster.PHASE)
