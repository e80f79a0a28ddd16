"""What kubeadm demands of its documents beyond their types.

Source: kubernetes/kubernetes cmd/kubeadm/app/apis/kubeadm/validation/validation.go and cmd/kubeadm/app/util/config.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any, Union
from urllib.parse import urlsplit

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
TOKEN = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_ALGORITHMS = ("", "RSA-2048", "RSA-3072", "RSA-4096", "ECDSA-P256", "ECDSA-P384")
_GATES = (
    "PublicKeysECDSA",
    "RootlessControlPlane",
    "WaitForAllControlPlaneComponents",
    "ControlPlaneKubeletLocalMode",
    "NodeLocalCRISocket",
)
_RFC1123 = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an "
    "alphanumeric character"
)


def cluster(document: dict[str, Any]) -> Iterator[str]:
    """Errors of a ClusterConfiguration, as validation.go words them."""
    networking = document.get("networking", {})
    domain = networking.get("dnsDomain", "cluster.local")
    if not _SUBDOMAIN.fullmatch(domain):
        yield f'networking.dnsDomain: Invalid value: "{domain}": {_RFC1123}'
    yield from _networks(document)
    endpoint = document.get("controlPlaneEndpoint", "")
    if endpoint and not _endpoint(endpoint):
        yield f'controlPlaneEndpoint: Invalid value: "{endpoint}": endpoint is not valid'
    for name in document.get("apiServer", {}).get("certSANs", ()):
        if not _SUBDOMAIN.fullmatch(name.removeprefix("*.")) and not _ip(name):
            yield (f'apiServer.certSANs: Invalid value: "{name}": altname is not a valid IP address, DNS label or a DNS label with '
                   "subdomain wildcards: ...")  # fmt: skip
    algorithm = document.get("encryptionAlgorithm", "")
    if algorithm not in _ALGORITHMS:
        yield f'encryptionAlgorithm: Invalid value: "{algorithm}": Invalid encryption algorithm'
    for gate in document.get("featureGates", {}):
        if gate not in _GATES:
            yield f'featureGates: Invalid value: {{"{gate}": true}}: {gate} is not a valid feature name.'
    for component in ("apiServer", "controllerManager", "scheduler"):
        yield from _arguments(document.get(component, {}).get("extraArgs", ()), f"{component}.extraArgs")
    yield from _paths(document)


def _networks(document: dict[str, Any]) -> Iterator[str]:
    networking = document.get("networking", {})
    services, pods = networking.get("serviceSubnet", "10.96.0.0/12"), networking.get("podSubnet", "")
    yield from _subnet(services, 10, "networking.serviceSubnet")
    for network in _parsed(services):
        bits = network.max_prefixlen
        if network.num_addresses > 1 << 20:
            yield (f'networking.serviceSubnet: Invalid value: "{services}": specified service subnet is too large; for {bits}-bit '
                   f"addresses, the mask must be >= {bits - 20}")  # fmt: skip
    if pods:
        yield from _subnet(pods, 14, "networking.podSubnet")
        yield from _masks(document, pods)


def _subnet(text: str, minimum: int, field: str) -> Iterator[str]:
    for part in text.split(","):
        try:
            ipaddress.ip_network(part, strict=False)
        except ValueError:
            yield f'{field}: Invalid value: "{text}": couldn\'t parse subnet: invalid CIDR address: {part}'
            return
    found = _parsed(text)
    if len(found) > 2 or (len(found) == 2 and found[0].version == found[1].version):
        yield (f'{field}: Invalid value: "{text}": expected one (IPv4 or IPv6) CIDR or two CIDRs from each family for dual-stack '
               "networking")  # fmt: skip
    for network in found:
        if network.num_addresses < minimum:
            yield (f'{field}: Invalid value: "{text}": subnet with {network.num_addresses} address(es) is too small, the minimum is '
                   f"{minimum}")  # fmt: skip


def _masks(document: dict[str, Any], pods: str) -> Iterator[str]:
    given = {arg["name"]: arg["value"] for arg in document.get("controllerManager", {}).get("extraArgs", ())}
    if given.get("allocate-node-cidrs") == "false":
        return
    for network in _parsed(pods):
        name = f"node-cidr-mask-size-ipv{network.version}"
        mask = int(given.get(name, "24" if network.version == 4 else "64"))
        if network.prefixlen > mask:
            yield (f'podSubnet: Invalid value: "{pods}": the size of pod subnet with mask {network.prefixlen} is smaller than the size '
                   f"of node subnet with mask {mask}")  # fmt: skip
        elif mask - network.prefixlen > 16:
            yield (f'podSubnet: Invalid value: "{pods}": pod subnet mask ({network.prefixlen}) and node-mask ({mask}) difference is '
                   "greater than 16")  # fmt: skip


def _parsed(text: str) -> list[Network]:
    try:
        return [ipaddress.ip_network(part, strict=False) for part in text.split(",")]
    except ValueError:
        return []


def node(document: dict[str, Any]) -> Iterator[str]:
    """Errors of what InitConfiguration and JoinConfiguration have in common."""
    registration = document.get("nodeRegistration", {})
    name = registration.get("name")
    if name is not None and not _SUBDOMAIN.fullmatch(name):
        yield f'nodeRegistration.name: Invalid value: "{name}": {_RFC1123}'
    socket = registration.get("criSocket")
    if socket is not None:
        scheme = urlsplit(socket).scheme
        if not socket:
            yield 'nodeRegistration.criSocket: Invalid value: "": empty CRI socket'
        elif scheme != "unix":
            yield f'nodeRegistration.criSocket: Invalid value: "{socket}": only URL scheme "unix" is supported, got "{scheme}"'
    ignored = [entry.lower() for entry in registration.get("ignorePreflightErrors", ())]
    if "all" in ignored and len(ignored) > 1:
        yield "ignore-preflight-errors: Invalid value: don't specify individual checks if 'all' is used"
    policy = registration.get("imagePullPolicy", "IfNotPresent")
    if policy not in ("Always", "IfNotPresent", "Never"):
        yield f'nodeRegistration.imagePullPolicy: Invalid value: "{policy}": must be one of: Always, IfNotPresent, Never'
    yield from _arguments(registration.get("kubeletExtraArgs", ()), "nodeRegistration.kubeletExtraArgs")


def initial(document: dict[str, Any]) -> Iterator[str]:
    yield from node(document)
    yield from _local(document.get("localAPIEndpoint", {}), "localAPIEndpoint")
    yield from _key(document.get("certificateKey", ""), "certificateKey")
    for token in document.get("bootstrapTokens", ()):
        if not TOKEN.fullmatch(token.get("token", "")):
            yield "bootstrapTokens: Invalid value: the bootstrap token is invalid"


def join(document: dict[str, Any]) -> Iterator[str]:
    yield from node(document)
    discovery = document.get("discovery", {})
    token, file = discovery.get("bootstrapToken"), discovery.get("file")
    if not token and not file:
        yield 'discovery: Invalid value: "": bootstrapToken or file must be set'
    if token and file:
        yield 'discovery: Invalid value: "": bootstrapToken and file cannot both be set'
    if token:
        yield from _token(token)
    path = (file or {}).get("kubeConfigPath", "")
    if file and not path.startswith(("/", "https://")):
        yield f'discovery.file.kubeConfigPath: Invalid value: "{path}": not a valid HTTPS URL or a file on disk'
    ca = document.get("caCertPath", "/etc/kubernetes/pki/ca.crt")
    if not ca.startswith("/") or not ca.endswith(".crt"):
        yield f'caCertPath: Invalid value: "{ca}": the ca certificate path must end in .crt'
    tls = discovery.get("tlsBootstrapToken", "")
    if tls and not TOKEN.fullmatch(tls):
        yield "discovery.tlsBootstrapToken: Invalid value: the bootstrap token is invalid"
    if document.get("controlPlane"):
        yield from _local(document["controlPlane"].get("localAPIEndpoint", {}), "controlPlane.localAPIEndpoint")
        yield from _key(document["controlPlane"].get("certificateKey", ""), "controlPlane.certificateKey")


def _token(token: dict[str, Any]) -> Iterator[str]:
    if not TOKEN.fullmatch(token.get("token", "")):
        yield "discovery.bootstrapToken.token: Invalid value: the bootstrap token is invalid"
    if not token.get("caCertHashes") and not token.get("unsafeSkipCAVerification"):
        yield (
            'discovery.bootstrapToken.caCertHashes: Invalid value: "": using token-based discovery without caCertHashes can be unsafe. '
            "Set unsafeSkipCAVerification to continue"
        )
    endpoint = token.get("apiServerEndpoint", "")
    if not _endpoint(endpoint) or not re.search(r":\d+$", endpoint):
        yield f'discovery.bootstrapToken.apiServerEndpoint: Invalid value: "{endpoint}": address {endpoint}: missing port in address'


def _local(endpoint: dict[str, Any], field: str) -> Iterator[str]:
    address, port = endpoint.get("advertiseAddress"), endpoint.get("bindPort", 6443)
    if address is not None and not _ip(address):
        yield f'{field}.advertiseAddress: Invalid value: "{address}": ip address is not valid'
    if not 1 <= port <= 65535:
        yield f'{field}.bindPort: Invalid value: "{port}": port number is not valid'


def _key(key: str, field: str) -> Iterator[str]:
    try:
        if key and len(bytes.fromhex(key)) != 32:
            yield f"{field}: Invalid value: invalid certificate key size"
    except ValueError:
        yield f"{field}: Invalid value: certificate key decoding error"


def _arguments(arguments: Any, field: str) -> Iterator[str]:
    for index, argument in enumerate(arguments):
        if not argument.get("name"):
            yield f"{field}[{index}]: Invalid value: argument has no name"


def _paths(document: dict[str, Any]) -> Iterator[str]:
    paths = {"certificatesDir": document.get("certificatesDir", "/etc/kubernetes/pki"),
             "etcd.local.dataDir": document.get("etcd", {}).get("local", {}).get("dataDir", "/var/lib/etcd")}  # fmt: skip
    for field, path in paths.items():
        if not path.startswith("/"):
            yield f'{field}: Invalid value: "{path}": path is not absolute'


def _ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _endpoint(text: str) -> bool:
    host, port = text, ""
    bracketed = re.fullmatch(r"\[(.*)\](?::(\d+))?", text)
    if bracketed:
        host, port = bracketed[1], bracketed[2] or ""
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if port and not 1 <= int(port if port.isdigit() else 0) <= 65535:
        return False
    return bool(_ip(host) or _SUBDOMAIN.fullmatch(host))
