"""containerd: its configuration with runc and Kata's handlers, taken into effect and proven; crictl's endpoint."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.containerd import ContainerdBinaries, ContainerdProcess, ContainerdService, ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig, ContainerdEffective, CrictlConfig, Shims
from caasctl.facts.containerd_live import ContainerdPlugins, CriInfo, PodCgroups
from caasctl.facts.containerd_registries import RegistryFolders
from caasctl.facts.containerd_writers import OtherWriters
from caasctl.facts.gpu import PciFunctions
from caasctl.facts.kata import KataTrees
from caasctl.facts.network_proxy import Proxies
from caasctl.facts.os_apt import AptSources
from caasctl.formats import dump_yaml
from caasctl.frozen import dataclass
from caasctl.model import HEADER, MARK, Facts
from caasctl.needs.containerd import registries, wanted
from caasctl.needs.network import READS, proxied
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.containerd import ContainerdActivation
from caasctl.resources.containerd.hosts import HostsFile, MergeHosts
from caasctl.resources.files import File, Transaction
from caasctl.resources.images import Images
from caasctl.resources.units import Unit
from caasctl.syntax.containerd import registries as hosts
from caasctl.syntax.containerd.imports import merged
from caasctl.syntax.containerd.merge import MergeMain, drop_in, wanted_schema
from caasctl.syntax.containerd.tables import DROP_IN, Version, socket
from caasctl.syntax.containerd.wanted import Wanted

CRICTL = "/etc/crictl.yaml"


@dataclass(frozen=True)
class MergeCrictl:
    """crictl's file where there is none or ours; a foreign one stays as it is, a check says where it points elsewhere."""

    endpoint: str = "unix:///run/containerd/containerd.sock"

    def __call__(self, text: str | None) -> str:
        if text is not None and MARK not in text.lower():
            return text
        return HEADER + dump_yaml({"runtime-endpoint": self.endpoint, "image-endpoint": self.endpoint, "timeout": 10})


def desired(facts: Facts, profile: NodeProfile) -> Iterator[Resource]:
    binary, version = facts[ContainerdBinaries].in_use, facts[ContainerdVersion].version
    if version == (0, 0, 0):
        return  # the checks containerd.installed and containerd.supported say how to get one that runs
    yield proxied(facts, profile, "containerd")
    config = facts[ContainerdConfig]
    want = wanted(facts, profile)
    yield Unit("containerd.service", enabled=True)
    for registry in registries(profile):  # read anew with each pull: no restart is owed to them
        yield HostsFile(File(hosts.path(registry.name), merge=MergeHosts(hosts.text(registry))), registry.ca)
    yield Transaction(
        "containerd",
        files(version, config.path, config.main.text, want),
        ContainerdActivation(binary, version, want, config.path),
    )
    yield File(CRICTL, merge=MergeCrictl())
    if profile.airgap:
        yield Images(profile.airgap.images, socket(merged(config.files, version)))


def files(version: Version, main: str, text: str | None, want: Wanted) -> tuple[File, ...]:
    """1.x: all in the main file. From 2.0 a drop-in in the main file's schema, which the merge leaves as it is."""
    merged = File(main, merge=MergeMain(version, want, main))
    if version < (2, 0, 0):
        return (merged,)
    return (File(DROP_IN, drop_in(wanted_schema(text, main), want, version)), merged)


PHASE = Phase(
    "containerd",
    "containerd with runc and Kata's handlers",
    desired,
    reads=(AptSources, ContainerdBinaries, ContainerdVersion, ContainerdConfig, KataTrees, PciFunctions, *READS),
    disturbs=(
        ContainerdBinaries,
        ContainerdVersion,
        ContainerdConfig,
        ContainerdEffective,
        ContainerdProcess,
        ContainerdService,
        ContainerdPlugins,
        CriInfo,
        CrictlConfig,
        OtherWriters,
        PodCgroups,
        Proxies,
        RegistryFolders,
        Shims,
    ),
)
