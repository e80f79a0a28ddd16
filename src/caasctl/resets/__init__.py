"""The steps of reset, in order: what others rest on goes last, and what proves that a thing is caasctl's goes behind it."""

from caasctl.protocol import Phase
from caasctl.resets import boot, cluster, containerd, done, gpu, host, kata, network

ORDER: tuple[Phase, ...] = (
    cluster.PHASE,
    network.PHASE,
    containerd.PHASE,
    gpu.PHASE,
    kata.PHASE,
    host.PHASE,
    boot.PHASE,
    done.PHASE,
)
