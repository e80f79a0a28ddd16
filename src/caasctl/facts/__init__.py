"""What is known of a host: one probe for each fact. Each topic's file lists its own PROBES."""

from caasctl.facts import (
    kata,
    kata_host,
    kubernetes,
    kubernetes_tools,
    network,
    network_dns,
    network_firewall,
    network_ports,
    network_proxy,
    network_routes,
    network_sysctl,
    os,
    os_swap,
    os_sysctl,
    os_system,
)
from caasctl.protocol import Probe

PROBES: tuple[Probe, ...] = (
    *os.PROBES,
    *os_swap.PROBES,
    *os_sysctl.PROBES,
    *os_system.PROBES,
    *network.PROBES,
    *network_routes.PROBES,
    *network_dns.PROBES,
    *network_ports.PROBES,
    *network_sysctl.PROBES,
    *network_firewall.PROBES,
    *network_proxy.PROBES,
    *kata.PROBES,
    *kata_host.PROBES,
    *kubernetes.PROBES,
    *kubernetes_tools.PROBES,
)
