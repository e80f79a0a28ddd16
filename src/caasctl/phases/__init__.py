"""The steps of init-node, in order."""

from caasctl.protocol import Phase

ORDER: tuple[Phase, ...] = ()
