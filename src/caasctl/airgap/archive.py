"""An image as one file that `ctr images import` reads: an OCI layout in a tar, with the digests that the registry gave."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.airgap.registry import Found, content
from caasctl.formats import dump_json
from caasctl.host.tarring import tar

_NAME, _REF = "io.containerd.image.name", "org.opencontainers.image.ref.name"


def archive(found: Found) -> Iterator[bytes]:
    """The tar, block by block, fetched on the way. Raises CaasError."""
    return tar(_parts(found))


def _parts(found: Found) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    for name, data in (
        ("oci-layout", dump_json({"imageLayoutVersion": "1.0.0"})),
        ("index.json", dump_json(_index(found))),
    ):
        yield name, len(data.encode()), iter((data.encode(),))
    for part in found.parts:
        yield f"blobs/{part.digest.replace(':', '/')}", part.size, content(found, part)


def _index(found: Found) -> dict[str, object]:
    """One entry for each name: containerd takes it as it is written there."""
    top = {"mediaType": found.top.media, "digest": found.top.digest, "size": found.top.size}
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {**top, "annotations": {_NAME: name, _REF: name.rpartition(":")[2]}} for name in found.image.names
        ],
    }
