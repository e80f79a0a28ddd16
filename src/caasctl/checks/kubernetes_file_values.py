"""Values in a kubeadm file that doctor was given: those that kubeadm refuses, secrets in clear, and taints of a single node."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from caasctl.facts.given import KUBEADM, Given, GivenFiles, dotted, get, items, text
from caasctl.formats.documents import Document, Path
from caasctl.model import Check, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.profile import NodeProfile
from caasctl.syntax.cidr.obstacles import network_of

_TOKEN = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
_PORTS = range(1, 65536)
Said = tuple[Path, str, str]  # where, what is wrong, what is wanted


def _documents(facts: Facts, *kinds: str) -> Iterator[tuple[Given, Document]]:
    given = facts.get(GivenFiles)
    for file in given.of(KUBEADM) if given else ():
        for document in file.documents:
            if text(document.data, "kind") in kinds:
                yield file, document


@check(
    "kubernetes.file_values",
    "kubeadm takes the values of a given file",
    reads=(),
    why="kubeadm's validation stops before anything is begun.",
    fix="Correct the value that the finding names.",
    source="kubernetes: cmd/kubeadm/app/apis/kubeadm/validation/validation.go",
)
def file_values(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Tokens, endpoints, the CRI socket, discovery and the cluster's DNS of InitConfiguration, JoinConfiguration, KubeletConfiguration."""
    for file, document in _documents(
        facts, "InitConfiguration", "JoinConfiguration", "ClusterConfiguration", "KubeletConfiguration"
    ):
        found = [
            *_tokens(document),
            *_endpoint(document),
            *_socket(document),
            *_discovery(document),
            *_dns(file, document),
        ]
        for path, said, wanted in found:
            yield failed(f"{dotted(path)}: {said}", wanted=wanted, subject=file.name, evidence=(file.at(document, path),),
                         fix=Fix(f"in {file.name} line {document.line(*path)}: {path[-1]}: {wanted}", FixKind.EDIT))  # fmt: skip
        if not found:
            yield passed(text(document.data, "kind"), subject=file.name)


def _secrets(document: Document) -> Iterator[Path]:
    for at, _ in enumerate(items(document.data, "bootstrapTokens")):
        yield "bootstrapTokens", at, "token"
    yield from (("discovery", "bootstrapToken", "token"), ("discovery", "tlsBootstrapToken"))


def _tokens(document: Document) -> Iterator[Said]:
    """Never with the token itself."""
    for path in _secrets(document):
        said = text(document.data, *path)
        if said and not _TOKEN.fullmatch(said):
            yield path, "is no bootstrap token", "six and sixteen of a-z and 0-9, with a dot between"
    for at, token in enumerate(items(document.data, "bootstrapTokens")):
        if text(token, "ttl") and text(token, "expires"):
            yield ("bootstrapTokens", at, "expires"), "given beside ttl", "one of the two"


def _endpoint(document: Document) -> Iterator[Said]:
    for path in (("localAPIEndpoint",), ("controlPlane", "localAPIEndpoint")):
        address, port = text(document.data, *path, "advertiseAddress"), get(document.data, *path, "bindPort")
        if address and not _is_address(address):
            yield (
                (*path, "advertiseAddress"),
                f"{address} is no address that others could call",
                "an address of this node",
            )
        if isinstance(port, int) and port not in _PORTS:
            yield (*path, "bindPort"), f"{port} is no port", "1 to 65535"


def _is_address(said: str) -> bool:
    try:
        address = ipaddress.ip_address(said)
    except ValueError:
        return False
    return not (address.is_unspecified or address.is_loopback or address.is_multicast)


def _socket(document: Document) -> Iterator[Said]:
    path = ("nodeRegistration", "criSocket")
    said = text(document.data, *path)
    if said and not said.startswith(("unix://", "/")):
        yield path, f"{said} is of a scheme that kubeadm does not take", "unix:///run/containerd/containerd.sock"
    elif "dockershim" in said:
        yield path, f"{said}: the kubelet has had no dockershim since 1.24", "unix:///run/containerd/containerd.sock"


def _discovery(document: Document) -> Iterator[Said]:
    if text(document.data, "kind") != "JoinConfiguration":
        return
    token, file = get(document.data, "discovery", "bootstrapToken"), get(document.data, "discovery", "file")
    if bool(token) == bool(file):
        yield (
            ("discovery",),
            "both bootstrapToken and file" if token else "neither bootstrapToken nor file",
            "one of the two",
        )
    if isinstance(token, dict) and not token.get("caCertHashes") and not token.get("unsafeSkipCAVerification"):
        yield ("discovery", "bootstrapToken", "caCertHashes"), "not given", "sha256:HEX of the cluster's CA"


def _dns(file: Given, document: Document) -> Iterator[Said]:
    """The clusterDNS of a KubeletConfiguration outside of the services of a ClusterConfiguration in the same file."""
    services = [text(other.data, "networking", "serviceSubnet") for other in file.documents]
    networks = [
        network
        for said in services
        for part in said.split(",")
        if "/" in part and (network := network_of(part.strip()))
    ]
    for at, one in enumerate(items(document.data, "clusterDNS") if networks else ()):
        address = network_of(str(one))
        if address and not any(
            address.network_address in network for network in networks if network.version == address.version
        ):
            yield (
                ("clusterDNS", at),
                f"{one} is outside of serviceSubnet",
                f"{networks[0][10]}, the tenth of serviceSubnet",
            )


@check(
    "kubernetes.file_secrets",
    "A given kubeadm file holds no secret in clear",
    reads=(),
    why="A bootstrap token lets whoever has the file join machines, a certificate key fetch the cluster's CA keys.",
    fix="Leave bootstrapTokens and certificateKey out: kubeadm makes them. `kubeadm token delete` takes back what was shown around.",
    source="https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/",
)
def file_secrets(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """bootstrapTokens, discovery and certificateKey; the values are not shown."""
    for file, document in _documents(facts, "InitConfiguration", "JoinConfiguration"):
        paths: tuple[Path, ...] = (*_secrets(document), ("certificateKey",), ("controlPlane", "certificateKey"))
        for path in paths:
            if text(document.data, *path):
                yield warned(f"{dotted(path)} is given", wanted="no secret in the file", subject=file.name,
                             evidence=(file.at(document, path, f"{dotted(path)}: not shown"),),
                             fix=Fix(f"in {file.name} line {document.line(*path)}: take it out; keep the file of mode 0600", FixKind.EDIT))  # fmt: skip


@check(
    "kubernetes.file_taints",
    "Ordinary pods may run on the node that a given kubeadm file begins",
    reads=(),
    why="Without `taints: []` kubeadm gives the node the control plane's taint: on a cluster of this one node every pod without a"
    " toleration stays Pending: `had untolerated taint {node-role.kubernetes.io/control-plane: }`.",
    fix="nodeRegistration.taints: [] in InitConfiguration where the node stays alone.",
    source="kubernetes: cmd/kubeadm/app/apis/kubeadm/v1beta4/types.go, NodeRegistrationOptions.Taints",
)
def file_taints(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """nodeRegistration.taints of InitConfiguration, with a profile of a single node."""
    for file, document in _documents(facts, "InitConfiguration"):
        path = ("nodeRegistration", "taints")
        taints = get(document.data, *path)
        alone = profile.spec.role == "single-node"
        tainted = taints is None or any(text(one, "key") == _CONTROL_PLANE for one in items(taints))
        if alone and tainted:
            said = "the control plane's taint" if taints else "not given: kubeadm adds the control plane's taint"
            yield warned(said, wanted="taints: [] on a single node", subject=file.name, evidence=(file.at(document, path),),
                         fix=Fix(f"in {file.name} line {document.line(*path)}: nodeRegistration.taints: []", FixKind.EDIT))  # fmt: skip


@check(
    "kubernetes.file_cgroup_driver",
    "The kubelet of a given file uses systemd's cgroups",
    reads=(),
    why="With cgroupfs on a host that systemd runs two programs manage one tree: `expected cgroupsPath to be of format"
    ' "slice:prefix:name"`, or pods that end under memory pressure.',
    fix="cgroupDriver: systemd in KubeletConfiguration, SystemdCgroup = true in containerd's.",
    source="https://kubernetes.io/docs/setup/production-environment/container-runtimes/#cgroup-drivers",
)
def file_cgroup_driver(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """The cgroupDriver of KubeletConfiguration; beside kubeadm's documents kubeadm fills it in."""
    for file, document in _documents(facts, "KubeletConfiguration"):
        said, path = text(document.data, "cgroupDriver"), ("cgroupDriver",)
        by_kubeadm = any(
            text(other.data, "kind") in ("ClusterConfiguration", "InitConfiguration") for other in file.documents
        )
        fix = Fix(f"in {file.name} line {document.line(*path)}: cgroupDriver: systemd", FixKind.EDIT)
        evidence = (file.at(document, path, f"cgroupDriver: {said or 'not given'}"),)
        if said and said != "systemd":
            yield failed(said, wanted="systemd", subject=file.name, fix=fix, evidence=evidence)
        elif not said and not by_kubeadm:
            yield warned("not given: cgroupfs, where containerd does not tell the kubelet", wanted="systemd", subject=file.name,
                         fix=fix, evidence=evidence)  # fmt: skip
        else:
            yield passed(said or "kubeadm's", subject=file.name)


CHECKS: tuple[Check, ...] = (file_values, file_cgroup_driver, file_secrets, file_taints)
