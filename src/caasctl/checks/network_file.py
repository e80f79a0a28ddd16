"""The ranges in a kubeadm file that doctor was given: by themselves, against each other, its addresses, and a host."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from caasctl.facts.given import KUBEADM, Given, GivenFiles, get, items, text
from caasctl.facts.network import Links
from caasctl.facts.network_routes import Routes
from caasctl.formats.documents import Document, Path
from caasctl.frozen import dataclass
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.network import shown
from caasctl.needs.network.taken import obstacles
from caasctl.profile import NodeProfile
from caasctl.syntax.cidr import IPV4, Network, parse, words
from caasctl.syntax.cidr.judge import Use, Wrong, families, judge, share
from caasctl.syntax.cidr.obstacles import Obstacle, overlapping

_PODS, _SERVICES = ("networking", "podSubnet"), ("networking", "serviceSubnet")
_DEFAULT_SERVICES = "10.96.0.0/12"  # kubeadm: apis/kubeadm/v1beta4/defaults.go
_MASKS = {4: 24, 6: 64}
_FIX = {_PODS: "10.244.0.0/16", _SERVICES: "10.96.0.0/16"}


@dataclass(frozen=True)
class _Range:
    """One range of a file. networks: () where the text is none, or nothing is given."""

    path: Path
    use: Use
    text: str
    networks: tuple[Network, ...] = ()
    wrong: tuple[Wrong, ...] = ()

    @property
    def key(self) -> str:
        return ".".join(self.path)


def _range(document: Document, path: Path, use: Use, default: str = "") -> _Range:
    said = text(document.data, *path) or default
    try:
        return _Range(path, use, said, parse(said) if said else (), tuple(judge(said, use)) if said else ())
    except ValueError as error:
        return _Range(
            path, use, said, (), (Wrong(f"{said}: {error}", "a network such as 10.244.0.0/16", "kubeadm stops."),)
        )


@check(
    "network.file_ranges",
    "The ranges in a given kubeadm file are networks of their own",
    reads=(),
    why="kubeadm looks neither at host bits nor at overlaps: the cluster comes up, and later addresses of machines, pods and"
    " services stand for one another: `no route to host`, a service that answers for a neighbour of the node.",
    fix="podSubnet and serviceSubnet: two private networks that do not overlap and that nothing else uses;"
    " `caasctl preflight` names free ones.",
    source="kubernetes: cmd/kubeadm/app/apis/kubeadm/validation/validation.go",
)
def file_ranges(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """networking.podSubnet and serviceSubnet of ClusterConfiguration, and the node's addresses in the file."""
    for file, document in _documents(facts):
        yield from _of_file(file, document)


def _documents(facts: Facts) -> Iterator[tuple[Given, Document]]:
    given = facts.get(GivenFiles)
    for file in given.of(KUBEADM) if given else ():
        yield from ((file, one) for one in file.documents if text(one.data, "kind") == "ClusterConfiguration")


def _of_file(file: Given, document: Document) -> Iterator[Finding]:
    pods, services = _range(document, _PODS, "pods"), _range(document, _SERVICES, "services", _DEFAULT_SERVICES)
    found = [
        *_together(file, document, pods, services),
        *_addresses(file, (pods, services), document),
        *_alone(file, document, pods),
        *_alone(file, document, services),
        *_shares(file, document, pods),
    ]
    yield from found
    if not found:
        said = f"pods {words(pods.networks) or 'without a range'}, services {words(services.networks)}"
        yield passed(said, subject=file.name)


def _alone(file: Given, document: Document, one: _Range) -> Iterator[Finding]:
    for wrong in one.wrong:
        make = failed if wrong.fatal else warned
        yield make(f"{one.key}: {wrong.found}", wanted=wrong.wanted, subject=file.name, cause=wrong.cause,
                   fix=_other(file, document, one), evidence=_seen(file, document, one))  # fmt: skip


def _together(file: Given, document: Document, pods: _Range, services: _Range) -> Iterator[Finding]:
    if any(a.overlaps(b) for a in pods.networks for b in services.networks):
        said = f"podSubnet {words(pods.networks)} and serviceSubnet {words(services.networks)} overlap"
        yield failed(said, wanted="ranges without a common address", subject=file.name, fix=_both(file, document),
                     evidence=(*_seen(file, document, services), *_seen(file, document, pods)),
                     cause="An address is then a pod's and a service's at once, and packets reach one of the two.")  # fmt: skip
    for wrong in families(pods.networks, services.networks):
        yield failed(wrong.found, wanted=wrong.wanted, subject=file.name, cause=wrong.cause, fix=_both(file, document),
                     evidence=(*_seen(file, document, services), *_seen(file, document, pods)))  # fmt: skip


def _addresses(file: Given, ranges: tuple[_Range, _Range], near: Document) -> Iterator[Finding]:
    """The node's own address, by what the file itself calls it."""
    own = {address: (document, path) for document, path, address in _own(file)}
    for one in ranges:
        hit = [(address, *own[address]) for address in own if any(address in network for network in one.networks)]
        for address, document, path in hit[:1]:
            yield failed(
                f"{one.key} {one.text} holds {address}, the node's own address", subject=file.name,
                wanted="a range without addresses of machines", fix=_both(file, near),
                evidence=(*_seen(file, near, one), file.at(document, path, f"{path[-1]}: {text(document.data, *path)}")),
                cause="The range is a network of machines: the cluster hands out their addresses, and takes packets to them for its own.",
            )  # fmt: skip


def _own(file: Given) -> Iterator[tuple[Document, Path, ipaddress.IPv4Address | ipaddress.IPv6Address]]:
    for document in file.documents:
        for path in (("localAPIEndpoint", "advertiseAddress"), ("controlPlaneEndpoint",)):
            said = text(document.data, *path)
            host = said if path[-1] == "advertiseAddress" else said.rpartition(":")[0].strip("[]") or said
            try:
                yield document, path, ipaddress.ip_address(host)
            except ValueError:
                continue


def _shares(file: Given, document: Document, pods: _Range) -> Iterator[Finding]:
    arguments = get(document.data, "controllerManager", "extraArgs")
    for network in pods.networks:
        name = f"node-cidr-mask-size-ipv{network.version}"
        said = _argument(arguments, name) or str(_MASKS[network.version])
        mask = int(said) if said.isdecimal() and len(said) < 4 else 0  # noqa: PLR2004 - three figures at most
        for wrong in share(network, mask):
            yield failed(f"a node's share of podSubnet: {wrong.found}", wanted=wrong.wanted, subject=file.name,
                         cause=wrong.cause, fix=Fix(f"in {file.name}: a larger podSubnet, or {name} in controllerManager.extraArgs", FixKind.EDIT),
                         evidence=_seen(file, document, pods))  # fmt: skip


def _argument(arguments: object, name: str) -> str:
    """Of v1beta4's list, or of the map before it."""
    listed = [text(one, "value") for one in items(arguments) if text(one, "name") == name]
    return listed[-1] if listed else text(arguments, name)


def _seen(file: Given, document: Document, one: _Range) -> tuple[Evidence, ...]:
    return (file.at(document, one.path, f"{one.key}: {one.text}"),) if text(document.data, *one.path) else ()


def _other(file: Given, document: Document, one: _Range) -> Fix:
    """The whole network where only host bits are wrong would be wrong again: a network of machines. So another one."""
    line = document.line(*one.path)
    where = f"{file.name} line {line}" if line else file.name
    version = one.networks[0].version if one.networks else IPV4
    instead = (
        _FIX[one.path] if version == IPV4 else {"pods": "fd00:10:244::/56", "services": "fd00:10:96::/112"}[one.use]
    )
    return Fix(
        f"in {where}: {one.path[-1]}: {instead}, or another private network that nothing here uses", FixKind.EDIT
    )


def _both(file: Given, document: Document) -> Fix:
    lines = [str(line) for path in (_SERVICES, _PODS) if (line := document.lines.get(path))]
    where = f"{file.name}" + (f" (line {', '.join(lines)})" if lines else "")
    return Fix(f"in {where}: podSubnet: {_FIX[_PODS]} and serviceSubnet: {_FIX[_SERVICES]}, or others that nothing here uses",
               FixKind.EDIT)  # fmt: skip


@check(
    "network.file_ranges_free",
    "The ranges in a given kubeadm file are clear of the host's networks",
    reads=(Links, Routes),
    why="Machines with such addresses are no longer reached from this node and its pods: `no route to host`, and nothing is logged.",
    fix="podSubnet and serviceSubnet out of private space that this site does not use; `caasctl preflight` names free ones.",
    source="cilium#42383, cilium#13766",
)
def file_ranges_free(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """What network.pod_cidr_free looks at, where a host is given beside the file."""
    for file, document in _documents(facts):
        ranges = (_range(document, _PODS, "pods"), _range(document, _SERVICES, "services", _DEFAULT_SERVICES))
        taken = [one for one in obstacles(facts, profile) if one.kind != "reserved" and not one.possible]
        found = [(one, way) for one in ranges if (way := _in_the_way(one, taken))]
        for one, way in found:
            seen = tuple(Evidence(hit.source, hit.what) for hit in way[:4])
            yield failed(f"{one.key} {words(one.networks)} overlaps {shown(way)}", wanted="a network that nothing else here uses",
                         subject=file.name, fix=_both(file, document), evidence=(*_seen(file, document, one)[:1], *seen))  # fmt: skip
        if not found:
            yield passed(f"clear of {len(taken)} networks and addresses in use", subject=file.name)


def _in_the_way(one: _Range, taken: Sequence[Obstacle]) -> tuple[Obstacle, ...]:
    return tuple(dict.fromkeys(hit for network in one.networks for hit in overlapping(network, taken)))


CHECKS: tuple[Check, ...] = (file_ranges, file_ranges_free)
