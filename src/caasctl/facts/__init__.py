"""What is known of a host: one probe for each fact. Each topic's file lists its own PROBES."""

from caasctl.protocol import Probe

PROBES: tuple[Probe, ...] = ()
