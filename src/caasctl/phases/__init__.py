"""The steps of init-node, in order."""

from caasctl.phases import host
from caasctl.protocol import Phase

ORDER: tuple[Phase, ...] = (host.PHASE,)
