"""What the types of a profile cannot say: texts that are no version, no network, no path; a sentence each, key path first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from ipaddress import ip_address, ip_network
from posixpath import normpath

from caasctl import profile_sources as sources
from caasctl.model import Waiver
from caasctl.profile import AUTO, GpuSelector, KataSpec, NodeProfile, Spec
from caasctl.profile_sources import shown
from caasctl.syntax.cdi.names import kind_problem
from caasctl.syntax.kata_release import API, TOP
from caasctl.syntax.pci import ADDRESS, full

_NUMBER = r"(?:0|[1-9][0-9]*)"
_VERSION = re.compile(rf"v{_NUMBER}\.{_NUMBER}\.{_NUMBER}([-+][0-9A-Za-z.+-]+)?")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")
_BY_DIGEST = re.compile(rf"{_IMAGE.pattern}@sha256:[0-9a-f]{{64}}")
_PATH = re.compile(r"/[A-Za-z0-9._+/-]+")
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")  # RFC 1123, as Kubernetes reads it
_MAX_NAME, _MAX_PORT, _MAX_RESOURCE = 253, 65535, 63
_ANNOTATION = re.compile(r"[a-z0-9_]+")
_HEX = re.compile(r"[0-9A-Fa-f]+")
_EXAMPLES = {
    "vendor": "10de (NVIDIA), 1002 (AMD), 8086 (Intel)",
    "device": "2330",
    "class": "03 (displays), 0302, 12 (accelerators)",
}
_KATA_HASH = (
    "it is the `digest` that GitHub gives of each file of a release: "
    f"`curl -s {API}/VERSION | grep -E '\"(name|digest)\"'`, without its sha256:"
)
_NO_FUNCTION = "is no address of one PCI function such as 0000:65:00.0, as `lspci -D` shows it"
_KERNEL_ARG = re.compile(r"[A-Za-z0-9_.,:=/-]+")  # what survives a shell file, GRUB's script and the kernel unquoted


def judge(profile: NodeProfile) -> Iterator[str]:
    """What types cannot say, a sentence each, key path first."""
    spec = profile.spec
    if not _VERSION.fullmatch(spec.kubernetes.version):
        yield f"spec.kubernetes.version: {spec.kubernetes.version!r} is not of the form v1.36.4"
    for key in ("podCIDR", "serviceCIDR"):
        yield from _judge_network(f"spec.network.{key}", getattr(spec.network, key), single=False)
    for at, avoid in enumerate(spec.network.avoid):
        yield from _judge_network(f"spec.network.avoid[{at}]", avoid, single=True)
    if not 1 <= spec.network.nodeCIDRMaskSize <= 128:  # noqa: PLR2004 - the length of an IPv6 address
        yield f"spec.network.nodeCIDRMaskSize: {spec.network.nodeCIDRMaskSize} is no prefix length"
    yield from _judge_names(spec)
    if spec.network.nodeIP != AUTO and not _is_address(spec.network.nodeIP):
        yield f"spec.network.nodeIP: {spec.network.nodeIP!r} is no IP address"
    for at, argument in enumerate(spec.boot.kernelArgs):
        if not _KERNEL_ARG.fullmatch(argument):
            yield f"spec.boot.kernelArgs[{at}]: {argument!r} holds what a boot loader's file cannot carry unquoted"
    yield from _judge_values(spec)
    yield from sources.packages(spec.packages)
    yield from sources.proxy(spec.proxy)
    yield from sources.registries(spec.containerd.registries)
    yield from _judge_resource(spec.gpu.resourceName)
    yield from _judge_gpus(spec)
    for at, waiver in enumerate(spec.waivers):
        yield from _judge_waiver(at, waiver)


def _judge_names(spec: Spec) -> Iterator[str]:
    """As kubeadm takes them: ValidateNetworking and ParseHostPort."""
    domain, endpoint = spec.network.dnsDomain, spec.kubernetes.controlPlaneEndpoint
    if not _is_name(domain):
        yield f"spec.network.dnsDomain: {shown(domain)} is no DNS name in lower case such as cluster.local"
    if endpoint and not _is_endpoint(endpoint):
        yield f"spec.kubernetes.controlPlaneEndpoint: {shown(endpoint)} is neither HOST nor HOST:PORT, in lower case, [IPV6]:PORT"


def _is_name(text: str) -> bool:
    return len(text) <= _MAX_NAME and bool(_NAME.fullmatch(text))


def _is_endpoint(text: str) -> bool:
    host, colon, port = ("", "", "") if _is_address(text) else text.rpartition(":")
    if not colon:
        return _is_address(text) or _is_name(text)
    inside = host[1:-1] if host.startswith("[") and host.endswith("]") else ""
    named = (":" in inside and _is_address(inside)) or (":" not in host and (_is_address(host) or _is_name(host)))
    return named and port.isascii() and port.isdigit() and 1 <= int(port) <= _MAX_PORT


def _judge_values(spec: Spec) -> Iterator[str]:
    runtime, image, prefix = spec.containerd.defaultRuntime, spec.containerd.sandboxImage, spec.kata.prefix
    if spec.boot.hugepages.count < 0:
        yield f"spec.boot.hugepages.count: {spec.boot.hugepages.count} is below 0"
    if runtime.startswith("kata-") and runtime not in spec.runtimes:  # others may be the user's own, in his file
        yield f"spec.containerd.defaultRuntime: {runtime} is not among spec.runtimes: {', '.join(spec.runtimes)}"
    if "runc" not in spec.runtimes:
        yield "spec.runtimes: runc is missing; the control plane's own pods run on it"
    if not _IMAGE.fullmatch(image):
        yield f"spec.containerd.sandboxImage: {shown(image)} is neither auto nor an image's name"
    yield from _judge_objects(spec)
    if not _PATH.fullmatch(prefix) or normpath(prefix) != prefix.rstrip("/"):
        yield f"spec.kata.prefix: {shown(prefix)} is no absolute path such as /opt/kata"
    yield from _judge_kata(spec.kata)


def _judge_kata(kata: KataSpec) -> Iterator[str]:
    """A tarball is taken by its hash only; how to get one is said here, since nobody else gives it."""
    yield from sources.tarball_of("spec.kata", kata.source, kata.sha256, _KATA_HASH)
    if kata.source and kata.prefix.rstrip("/") != f"/{TOP}":
        yield f"spec.kata.prefix: {shown(kata.prefix)}, but a release of Kata is built for /{TOP}: with a source, leave it there"
    for at, name in enumerate(kata.annotations):
        if not _ANNOTATION.fullmatch(name):
            yield f"spec.kata.annotations[{at}]: {shown(name)} is no name such as kernel_params; Kata would take it for a pattern"


def _judge_resource(name: str) -> Iterator[str]:
    """It is an extended resource of Kubernetes and a kind of CDI, which allow different things."""
    domain, _, rest = name.partition("/")
    problem = kind_problem(name)
    if problem:
        yield f"spec.gpu.resourceName: {shown(name)} is no kind of CDI such as nvidia.com/pgpu: {problem}"
    elif not _is_name(domain) or domain.endswith("kubernetes.io") or len(rest) > _MAX_RESOURCE:
        yield f"spec.gpu.resourceName: {shown(name)} is no extended resource such as nvidia.com/pgpu: a domain in lower case, / and up to 63 characters"


def _judge_gpus(spec: Spec) -> Iterator[str]:
    """What is misspelt here protects a card that it does not name, or selects nothing without a word."""
    if spec.boot.iommu == "off" and spec.gpu.passthrough == "required":
        yield "spec.boot.iommu: off, but spec.gpu.passthrough: required; no GPU goes to a guest without an IOMMU: auto or required here"
    for at, address in enumerate(spec.gpu.exclude):
        if not _is_function(address):
            yield f"spec.gpu.exclude[{at}]: {shown(address)} {_NO_FUNCTION}"
    for at, selector in enumerate(spec.gpu.select):
        yield from _judge_selector(f"spec.gpu.select[{at}]", selector)


def _judge_selector(path: str, selector: GpuSelector) -> Iterator[str]:
    if not (selector.vendor or selector.device or selector.class_ or selector.address):
        yield f'{path}: names nothing, and would take every PCI function; GPUs of NVIDIA are {{vendor: "10de", class: "03"}}'
    for name, value, digits in (("vendor", selector.vendor, (4,)), ("device", selector.device, (4,)),
                                ("class", selector.class_, (2, 4, 6))):  # fmt: skip
        if value and not (_HEX.fullmatch(value) and len(value) in digits):
            lengths = " or ".join(map(str, digits))
            yield f"{path}.{name}: {shown(value)} is not {lengths} hex digits without 0x, as `lspci -nn` shows them: {_EXAMPLES[name]}"
    if selector.address and not _is_function(selector.address):
        yield f"{path}.address: {shown(selector.address)} {_NO_FUNCTION}"


def _is_function(text: str) -> bool:
    return bool(ADDRESS.fullmatch(full(text)))


def _judge_objects(spec: Spec) -> Iterator[str]:
    plugin, smoke = spec.gpu.devicePlugin, spec.smoke.image
    if plugin.image and not _BY_DIGEST.fullmatch(plugin.image):
        yield f"spec.gpu.devicePlugin.image: {shown(plugin.image)} is not of the form NAME@sha256: and 64 hex digits"
    for at, secret in enumerate(plugin.imagePullSecrets):
        if not _is_name(secret):
            yield f"spec.gpu.devicePlugin.imagePullSecrets[{at}]: {shown(secret)} is no name of a secret"
    if smoke and not _IMAGE.fullmatch(smoke):
        yield f"spec.smoke.image: {shown(smoke)} is no image's name"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _judge_network(path: str, value: str, *, single: bool) -> Iterator[str]:
    if value == AUTO and not single:
        return
    for part in value.split(","):
        try:
            ip_network(
                part.strip(), strict=single
            )  # host bits of our own ranges are a check's, with all else that is wrong there
        except ValueError as error:
            yield f"{path}: {error}"


def _judge_waiver(at: int, waiver: Waiver) -> Iterator[str]:
    if not waiver.reason.strip() or not waiver.owner.strip():
        yield f"spec.waivers[{at}]: a waiver needs a reason and an owner"
    try:
        date.fromisoformat(waiver.expires)
    except ValueError:
        yield f"spec.waivers[{at}].expires: {waiver.expires!r} is no date of the form 2027-01-31"
