"""What a node should be: the NodeProfile, frozen values with the field names of its YAML. Reading it is profile_load's.

A class's docstring says `key: meaning.` of each of its keys: docs/generate.py makes the profile's page of it.
"""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any, Literal, Union

from caasctl.frozen import dataclass
from caasctl.model import Waiver
from caasctl.profile_packages import PackagesSpec, ProxySpec, RegistrySpec

AUTO = "auto"
GPU_HANDLER = "kata-qemu-nvidia-gpu"  # the only one that passes GPUs through: docs/runtimes.md


@dataclass(frozen=True)
class Metadata:
    """name: of the profile, shown in reports."""

    name: str


@dataclass(frozen=True)
class Kubernetes:
    """version: vMAJOR.MINOR.PATCH. controlPlaneEndpoint: HOST or HOST:PORT that stays when control planes come and go.

    imageRepository: the registry of Kubernetes' own images. kubelet: fields of KubeletConfiguration laid over ours.
    apiServerCertSANs: more names and addresses that the API server's certificate is good for. auditLog: the API server
    logs who changed what. encryptSecrets: secrets in etcd are encrypted, with a key that is made on the host. podSecurity:
    the level that namespaces without a label of their own enforce. kubeconfigFor: a user of this host who gets admin.conf
    beside root; "" for none.
    """

    version: str
    controlPlaneEndpoint: str = ""
    imageRepository: str = "registry.k8s.io"
    kubelet: dict[str, Any] = dataclasses.field(default_factory=dict)
    apiServerCertSANs: tuple[str, ...] = ()
    auditLog: bool = True
    encryptSecrets: bool = True
    podSecurity: Literal["privileged", "baseline", "restricted"] = "baseline"
    kubeconfigFor: str = ""

    @property
    def minor(self) -> tuple[int, int]:
        """(1, 36) of v1.36.4."""
        major, minor = self.version.lstrip("v").split(".")[:2]
        return int(major), int(minor)


@dataclass(frozen=True)
class NetworkSpec:
    """podCIDR: the pods' network, or `auto`, which keeps clear of all that this host knows; two of different families, with a
    comma between, are dual stack. serviceCIDR: the services' network, in the same words.

    nodeCIDRMaskSize, nodeCIDRMaskSizeIPv6: prefix length of each node's share of the pods' network. dnsDomain: of the
    cluster's names. nodeIP: the node's address, or `auto`: the one that the default route leaves from. avoid: networks
    that this host cannot see and `auto` must keep clear of.
    """

    podCIDR: str = AUTO
    serviceCIDR: str = AUTO
    nodeCIDRMaskSize: int = 24
    nodeCIDRMaskSizeIPv6: int = 64
    dnsDomain: str = "cluster.local"
    nodeIP: str = AUTO
    avoid: tuple[str, ...] = ()


@dataclass(frozen=True)
class HugepagesSpec:
    """size: 2Mi or 1Gi. count: pages reserved at boot, on the whole host."""

    size: Literal["2Mi", "1Gi"] = "1Gi"
    count: int = 0


@dataclass(frozen=True)
class Boot:
    """cgroup: the only version that today's kubelet runs on. iommu: `required` fails without a working IOMMU, `auto` only
    where a GPU is to be passed through, `off` leaves it alone. passthroughMode: `iommu=pt`, no translation of the host's
    own devices. kernelArgs: more arguments for the kernel. hugepages: pages that the kernel sets aside at boot.

    applyBLS: run grubby on hosts with Boot Loader Specification entries instead of printing the command.
    trialBoot: `auto` tries new kernel arguments once before they are permanent, where GRUB can; `off` writes them at once.
    """

    cgroup: Literal["v2"] = "v2"
    iommu: Literal["auto", "required", "off"] = "auto"
    passthroughMode: bool = False
    kernelArgs: tuple[str, ...] = ()
    hugepages: HugepagesSpec = dataclasses.field(default_factory=HugepagesSpec)
    applyBLS: bool = False
    trialBoot: Literal["auto", "off"] = "auto"


@dataclass(frozen=True)
class ContainerdSpec:
    """sandboxImage: `auto` is the pause image of the Kubernetes version in its image repository. defaultRuntime: the handler
    of pods without a runtimeClassName. registries: by a registry's name, as docker.io, the `mirrors` to ask before it (addresses,
    in order), the `ca` of their certificates (a path), and `overridePath: true` where the addresses are whole ones, without /v2.
    """

    sandboxImage: str = AUTO
    defaultRuntime: str = "runc"
    registries: dict[str, RegistrySpec] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class KataSpec:
    """source: the path or https address of a release's tarball, "" to take the tree that is there. sha256: of that file.
    prefix: where the tree is.

    annotations: names of the hypervisor's that a pod may set (io.katacontainers.config.hypervisor.NAME); by default Kata's own.
    """

    source: str = ""
    sha256: str = ""
    prefix: str = "/opt/kata"
    annotations: tuple[str, ...] = ("enable_iommu", "kernel_params", "kernel_verity_params")


@dataclass(frozen=True)
class GpuSelector:
    """vendor: 4 hex digits, without 0x. device: 4 hex digits. class: the first of its 6 hex digits, 03 is every display. address:
    a PCI address, as 0000:01:00.0.
    """

    vendor: str = ""
    device: str = ""
    class_: str = dataclasses.field(default="", metadata={"key": "class"})
    address: str = ""


@dataclass(frozen=True)
class DevicePluginSpec:
    """image: NVIDIA's sandbox device plugin as NAME@sha256:DIGEST, "" for none. imagePullSecrets: names of secrets that
    the user makes in its namespace.
    """

    image: str = ""
    imagePullSecrets: tuple[str, ...] = ()


@dataclass(frozen=True)
class GpuSpec:
    """passthrough: `required` fails where no GPU can be passed through, `auto` passes those there are where a runtime starts
    guests, `off` leaves them to the host. select: which PCI functions are meant, those that fit all keys of any entry.
    exclude: PCI addresses that stay with the host. resourceName: by which pods ask for a GPU. devicePlugin: what offers
    them to pods.
    """

    passthrough: Literal["auto", "required", "off"] = "auto"
    select: tuple[GpuSelector, ...] = (GpuSelector(vendor="10de", class_="03"),)
    exclude: tuple[str, ...] = ()
    resourceName: str = "nvidia.com/pgpu"
    devicePlugin: DevicePluginSpec = dataclasses.field(default_factory=DevicePluginSpec)


@dataclass(frozen=True)
class CiliumSpec:
    """version: of the chart. repository: where Helm finds it. chart: a name in `repository`, an address oci://..., or the path
    of a local chart (folder or .tgz).

    kubeProxyReplacement: Cilium does kube-proxy's work, and there is none. encryption: of traffic between nodes. devices:
    the interfaces that Cilium works on; without any it finds them. mtu: of the pods' interfaces; `auto` leaves it to
    Cilium, and takes off what tunnel and encryption add where Kata's guests run. values: of the chart, laid over ours.
    """

    version: str = "1.20.5"
    repository: str = "https://helm.cilium.io"
    chart: str = "cilium"
    kubeProxyReplacement: bool = True
    encryption: Literal["off", "wireguard", "ipsec"] = "off"
    devices: tuple[str, ...] = ()
    mtu: Union[int, Literal["auto"]] = "auto"
    values: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class SmokeSpec:
    """image: of the pods of `caasctl smoke`, with busybox in it; "" is busybox from the cluster's image repository."""

    image: str = ""


@dataclass(frozen=True)
class Spec:
    """kubernetes: the cluster. role: what this node is in it. packages: where its programs come from. proxy: the way out of the
    host. network: its ranges. boot: what the kernel is started with. containerd: the container runtime. runtimes: the handlers that pods can ask for. kata: where Kata's tree is from. gpu:
    which GPUs guests get. cilium: the cluster's network. smoke: the proof by pods. waivers: checks to live with, each until
    a date.
    """

    kubernetes: Kubernetes
    role: Literal["single-node", "control-plane", "worker"] = "single-node"
    packages: PackagesSpec = dataclasses.field(default_factory=PackagesSpec)
    proxy: ProxySpec = dataclasses.field(default_factory=ProxySpec)
    network: NetworkSpec = dataclasses.field(default_factory=NetworkSpec)
    boot: Boot = dataclasses.field(default_factory=Boot)
    containerd: ContainerdSpec = dataclasses.field(default_factory=ContainerdSpec)
    runtimes: tuple[Literal["runc", "kata-qemu", "kata-clh", "kata-qemu-nvidia-gpu"], ...] = (
        "runc",
        "kata-qemu",
        "kata-clh",
    )
    kata: KataSpec = dataclasses.field(default_factory=KataSpec)
    gpu: GpuSpec = dataclasses.field(default_factory=GpuSpec)
    cilium: CiliumSpec = dataclasses.field(default_factory=CiliumSpec)
    smoke: SmokeSpec = dataclasses.field(default_factory=SmokeSpec)
    waivers: tuple[Waiver, ...] = ()


@dataclass(frozen=True)
class Join:
    """How a node joins a cluster: from join-node's files, never from a profile. endpoint: HOST:PORT of the API server.

    ca_hashes: sha256:HEX of the SubjectPublicKeyInfo of the cluster's CA. ca: its PEM, where a discovery file gives it.
    discovery_file: a kubeconfig, "" where a token discovers. The secrets are in no repr.
    """

    endpoint: str
    token: str = dataclasses.field(default="", repr=False)
    ca_hashes: tuple[str, ...] = ()
    ca: str = dataclasses.field(default="", repr=False)
    discovery_file: str = ""
    certificate_key: str = dataclasses.field(default="", repr=False)


@dataclass(frozen=True)
class ImageFile:
    """An image in an air gap's folder. path: absolute. names: by which containerd keeps it."""

    path: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Airgap:
    """Where all comes from on a host without a way out: from --airgap, never from a profile. folder: absolute. packages: its flat
    repository, "" for none. digest: SHA-256 that stands for all of the folder.
    """

    folder: str
    packages: str = ""
    images: tuple[ImageFile, ...] = ()
    digest: str = ""


@dataclass(frozen=True)
class NodeProfile:
    """apiVersion, kind: always this. metadata: what the profile is called. spec: what the node should be. join: how this node joins
    a cluster, for join-node only; no key of the YAML. airgap: the folder that all comes from; no key of the YAML either.
    """

    apiVersion: Literal["caasctl.io/v1alpha1"]
    kind: Literal["NodeProfile"]
    metadata: Metadata
    spec: Spec
    join: Union[Join, None] = None
    airgap: Union[Airgap, None] = None

    def waiver(self, check: str, today: date) -> Union[Waiver, None]:
        """By which the user lives with that check, until a date that is not past."""
        named = (waiver for waiver in self.spec.waivers if waiver.check == check)
        return next((waiver for waiver in named if date.fromisoformat(waiver.expires) >= today), None)

    @property
    def begins_cluster(self) -> bool:
        """Whether this node is to be the first of its cluster: it chooses the cluster's networks, others are told."""
        return self.spec.role != "worker" and self.join is None

    @property
    def kata_handlers(self) -> tuple[str, ...]:
        """Those that are in effect on whatever host: those listed, and the GPUs' where they must be passed through."""
        listed = tuple(name for name in self.spec.runtimes if name.startswith("kata-"))
        return _with_gpus(listed) if self.spec.gpu.passthrough == "required" else listed

    def handlers(self, *, gpus: bool) -> tuple[str, ...]:
        """Those in effect on this host: on a node with Kata, GPUs that the profile selects bring their handler along.

        gpus: whether there are any.
        """
        adds = gpus and self.spec.gpu.passthrough != "off" and self.kata_handlers
        return _with_gpus(self.kata_handlers) if adds else self.kata_handlers


def _with_gpus(listed: tuple[str, ...]) -> tuple[str, ...]:
    return listed if GPU_HANDLER in listed else (*listed, GPU_HANDLER)
