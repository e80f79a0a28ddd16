"""All that a node needs from elsewhere: packages, repositories, files, chart and images, and what of that nobody knows yet."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.os import OsRelease
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.needs import packages
from caasctl.needs.cluster import smoke
from caasctl.needs.containerd import PAUSE, sandbox_image
from caasctl.profile import AUTO, GPU_HANDLER, NodeProfile
from caasctl.protocol import Reader
from caasctl.syntax.helm_values import at
from caasctl.syntax.kata_release import RELEASES

PACKAGE, REPOSITORY, FILE, CHART, IMAGE = "package", "repository", "file", "chart", "image"
KINDS = (PACKAGE, REPOSITORY, FILE, CHART, IMAGE)
_KUBEADM_S = 20.0
_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
_CILIUM = "quay.io/cilium"


@dataclass(frozen=True)
class Item:
    """One thing from elsewhere. version: "" for whatever fits. source: where it is fetched. sha256: of it, "" where only the
    source vouches for it. why_unknown: what stands in the way of naming it whole, "" where it is. fix: how the profile names it,
    where it names none.
    """

    kind: str
    name: str
    version: str = ""
    source: str = ""
    sha256: str = ""
    why_unknown: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Target:
    """The host that is meant. architecture: as releases and dpkg call it."""

    distribution: OsRelease
    architecture: str


def items(
    profile: NodeProfile, target: Target, kubeadm: tuple[str, ...] | None, cilium: tuple[str, ...] | None
) -> tuple[Item, ...]:
    """kubeadm: the images that it lists for the profile's version. cilium: those of the chart. None where nobody could say."""
    found = packages.wanted(profile, target.distribution, target.architecture)
    repositories = {one.name: f"{one.uri} {one.suite}" for one in found.repositories}
    distribution = target.distribution.pretty or target.distribution.id
    return (
        *_unmanaged(profile, target),
        *(Item(PACKAGE, one.name, one.version, repositories.get(one.repository, distribution)) for one in found.packages),
        *(Item(REPOSITORY, one.name, source=f"{one.uri} {one.suite}", why_unknown="" if one.fingerprint else unsigned(one.setting))
          for one in found.repositories),
        *(Item(REPOSITORY, f"{one.name}'s key", source=one.key) for one in found.repositories),
        *(Item(FILE, one.name, source=one.source, sha256=one.sha256) for one in found.downloads),
        *_helm(profile), *_kata(profile), *_chart(profile), *_images(profile, kubeadm, cilium),
    )  # fmt: skip


def unsigned(setting: str) -> str:
    return f"the profile names no fingerprint of its key: {setting}.fingerprint"


def _unmanaged(profile: NodeProfile, target: Target) -> Iterator[Item]:
    """What caasctl installs nothing of: it has no name there that caasctl knows."""
    spec, here = profile.spec.packages, target.distribution
    if spec.install == "off" or packages.manager(here):
        return
    names = ["kubelet", "kubeadm", "kubectl", "containerd", "runc", *(["helm"] if spec.helm.source else [])]
    yield Item(PACKAGE, f"{', '.join(names)} and what they need",
               why_unknown=f"caasctl knows apt and dnf, and {here.pretty or 'this distribution'} has another package manager",
               fix=f"install them there by its own package manager before init-node, Kubernetes' programs as {profile.spec.kubernetes.version}")  # fmt: skip


def _helm(profile: NodeProfile) -> Iterator[Item]:
    """Only where it is not among the downloads."""
    spec = profile.spec.packages
    if profile.begins_cluster and spec.install != "off" and not spec.helm.source:
        yield Item(FILE, "helm", why_unknown="the profile names no source: spec.packages.helm",
                   fix="set spec.packages.helm.source to a helm-VERSION-linux-ARCH.tar.gz of https://github.com/helm/helm/releases, and sha256 beside it")  # fmt: skip


def _kata(profile: NodeProfile) -> Iterator[Item]:
    kata = profile.spec.kata
    if kata.source:
        yield Item(FILE, "kata", source=kata.source, sha256=kata.sha256.lower())
    elif profile.kata_handlers:
        yield Item(FILE, "kata", why_unknown="the profile names no source: spec.kata.source",
                   fix=f"set spec.kata.source to a kata-go-static of {RELEASES}, and sha256 beside it")  # fmt: skip


def _chart(profile: NodeProfile) -> Iterator[Item]:
    cilium = profile.spec.cilium
    if profile.begins_cluster:
        where = cilium.chart if "/" in cilium.chart else f"{cilium.repository} {cilium.chart}".strip()
        yield Item(CHART, "cilium", cilium.version.removeprefix("v"), where)


def _images(profile: NodeProfile, kubeadm: tuple[str, ...] | None, cilium: tuple[str, ...] | None) -> tuple[Item, ...]:
    listed = (
        list(_untold(profile)) if kubeadm is None else [Item(IMAGE, name) for name in kubeadm if _used(profile, name)]
    )
    others = [sandbox_image(profile)] if _pause_is_known(profile) else []
    others += [smoke.image(profile)]
    gpu = profile.spec.gpu
    if gpu.passthrough != "off" and gpu.devicePlugin.image:
        others.append(gpu.devicePlugin.image)
    network = list(_untold_cilium(profile)) if cilium is None else [Item(IMAGE, name) for name in cilium]
    every = [*listed, *network, *(Item(IMAGE, name) for name in others), *_plugin(profile)]
    return tuple({item.name: item for item in every}.values())


def _plugin(profile: NodeProfile) -> Iterator[Item]:
    """Only where GPUs are to be passed on whatever host: without an image nobody offers them, or a plugin of the user's own."""
    gpu = profile.spec.gpu
    if GPU_HANDLER in profile.kata_handlers and gpu.passthrough != "off" and not gpu.devicePlugin.image:
        yield Item(IMAGE, "the device plugin that offers GPUs", why_unknown="the profile names none: spec.gpu.devicePlugin.image",
                   fix="set spec.gpu.devicePlugin.image to it, by digest (`caasctl explain gpu.device_plugin`), or bring a plugin of your own to the node")  # fmt: skip


def _used(profile: NodeProfile, image: str) -> bool:
    """Whether a node of this role runs it; kubeadm lists those of a control plane."""
    name = image.rpartition("/")[2].partition(":")[0]
    if name == "kube-proxy":
        return not profile.spec.cilium.kubeProxyReplacement
    if name == "pause":
        return profile.spec.containerd.sandboxImage == AUTO
    return profile.spec.role != "worker" or name not in (*_PLANE, "etcd")


def _pause_is_known(profile: NodeProfile) -> bool:
    return profile.spec.containerd.sandboxImage != AUTO or profile.spec.kubernetes.minor in PAUSE


def _untold(profile: NodeProfile) -> Iterator[Item]:
    """What is certain without kubeadm, and what only kubeadm of that version knows."""
    kubernetes = profile.spec.kubernetes
    registry, version = kubernetes.imageRepository, kubernetes.version
    names = [f"{registry}/{name}:{version}" for name in (*_PLANE, "kube-proxy")]
    yield from (Item(IMAGE, name) for name in names if _used(profile, name))
    why = f"only kubeadm {version} knows its tag, which is not on this host; `airgap pack` asks the one that it packs"
    dns = f"{registry}/coredns/coredns" if registry == "registry.k8s.io" else f"{registry}/coredns"
    unknown = [dns, f"{registry}/etcd", *([] if _pause_is_known(profile) else [f"{registry}/pause"])]
    yield from (Item(IMAGE, name, why_unknown=why) for name in unknown if _used(profile, name))


def _untold_cilium(profile: NodeProfile) -> Iterator[Item]:
    cilium = profile.spec.cilium
    version = cilium.version.removeprefix("v")
    for name, key in (("cilium", "image"), ("operator-generic", "operator.image")):
        if not at(cilium.values, key):
            yield Item(IMAGE, f"{_CILIUM}/{name}:v{version}")
    why = "only the chart knows what its values select; `airgap pack` asks the one that it packs"
    yield Item(IMAGE, f"others of the chart cilium {version} (cilium-envoy, for one)", why_unknown=why)


def of_kubeadm(host: Reader, profile: NodeProfile, program: str = "kubeadm") -> tuple[str, ...] | None:
    """What a kubeadm of the profile's version lists; None where there is none, or it is of another version."""
    kubernetes = profile.spec.kubernetes
    try:
        version = host.query(program, "version", "-o", "short", timeout_s=_KUBEADM_S)
        if not version.ok or version.stdout.strip() != kubernetes.version:
            return None
        said = host.query(program, "config", "images", "list", "--kubernetes-version", kubernetes.version,
                          "--image-repository", kubernetes.imageRepository, timeout_s=_KUBEADM_S)  # fmt: skip
    except Unreadable:
        return None
    return tuple(line.strip() for line in said.stdout.splitlines() if "/" in line) if said.ok else None
