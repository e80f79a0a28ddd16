"""The steps of init-node, in order."""

from caasctl.phases import containerd, host
from caasctl.protocol import Phase

ORDER: tuple[Phase, ...] = (host.PHASE, containerd.PHASE)
