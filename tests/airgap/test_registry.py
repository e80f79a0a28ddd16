"""Images from a strict stand-in of a registry: whole by their digests, or a sentence that says why not."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.standins.registry import Registry, image

from caasctl.airgap import registry
from caasctl.airgap.archive import archive
from caasctl.airgap.directory import is_inside
from caasctl.host import LiveHost
from caasctl.model import CaasError
from caasctl.syntax import image_name

IMAGE = image("one", size_bytes=1 << 20)
LAYERS = {digest for digest, (media, _) in IMAGE.blobs.items() if "layer" in media}


@pytest.fixture(autouse=True)
def no_proxies() -> Iterator[None]:
    kept = {name: os.environ.pop(name) for name in tuple(os.environ) if name.lower().endswith("_proxy")}
    yield
    os.environ.update(kept)


def fetched(
    server: Registry, folder: Path, name: str = "images.invalid/tiny:1", architecture: str = "amd64"
) -> set[str]:
    """The names in the tar that becomes of an image."""
    parsed = image_name.parse(name)
    assert parsed
    found = registry.find(parsed, architecture, (registry.Source(f"{server.url}/v2", registry="images.invalid"),))
    LiveHost(str(folder)).store("/x.tar", archive(found), 0o644)
    with tarfile.open(folder / "x.tar") as opened:
        return set(opened.getnames())


@pytest.mark.parametrize("token", [False, True])
def test_an_image_comes_with_its_index_and_only_one_architecture(tmp_path: Path, *, token: bool) -> None:
    with Registry({"tiny:1": IMAGE}, token=token) as server:
        names = fetched(server, tmp_path, f"images.invalid/tiny:1@{IMAGE.top}")
        assert f"blobs/{IMAGE.top.replace(':', '/')}" in names
        assert len(names) == 2 + 4
        assert all("ns=images.invalid" in asked for asked in server.requests if "/v2/" in asked)


def test_a_connection_that_breaks_is_gone_on_with(tmp_path: Path) -> None:
    with Registry({"tiny:1": IMAGE}) as server:
        server.cut = set(LAYERS)
        fetched(server, tmp_path)
        assert sum("/blobs/" in asked for asked in server.requests) == 3


def test_a_byte_that_is_wrong_is_found_and_leaves_no_file(tmp_path: Path) -> None:
    with Registry({"tiny:1": IMAGE}) as server:
        server.flip = set(LAYERS)
        with pytest.raises(CaasError, match="is not what its digest says"):
            fetched(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_that_is_not_the_one_of_its_digest_is_refused(tmp_path: Path) -> None:
    with Registry({"tiny:1": IMAGE}) as server:
        server.flip = {IMAGE.top}
        with pytest.raises(CaasError, match="could not be had") as refused:
            fetched(server, tmp_path, f"images.invalid/tiny@{IMAGE.top}")
    assert "is not what its digest says" in refused.value.cause


@pytest.mark.parametrize(
    ("name", "architecture", "word"),
    [("images.invalid/tiny:2", "amd64", "answers 404"), ("images.invalid/tiny:1", "s390x", "nothing for linux/s390x")],
)
def test_what_is_not_there_is_told(tmp_path: Path, name: str, architecture: str, word: str) -> None:
    with Registry({"tiny:1": IMAGE}) as server, pytest.raises(CaasError) as refused:
        fetched(server, tmp_path, name, architecture)
    assert word in refused.value.cause


def test_a_mirror_that_is_down_is_told_by_name(tmp_path: Path) -> None:
    with Registry({}) as server:
        gone = server
    with pytest.raises(CaasError) as refused:
        fetched(gone, tmp_path)
    assert "connection refused" in refused.value.cause
    assert "spec.containerd.registries" in refused.value.fix


def test_no_two_contents_share_a_file() -> None:
    """Neither what a tag stood for before it was pinned to a digest, nor two digests of one tag."""
    other = f"sha256:{'0' * 64}"
    names = (
        "quay.io/c/c:v1",
        f"quay.io/c/c:v1@{IMAGE.top}",
        f"quay.io/c/c:v1@{other}",
        f"quay.io/c/c@{other}",
        "quay.io/c/c:v2",
    )
    files = [found.file_name for name in names if (found := image_name.parse(name))]
    assert len(set(files)) == len(names)
    assert files[0] == "quay.io_c_c_v1.tar"
    assert all(is_inside(name) for name in files)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("busybox", ("docker.io/library/busybox:latest",)),
        ("localhost:5000/a/b:1", ("localhost:5000/a/b:1",)),
        (f"quay.io/c/c:v1@{IMAGE.top}", ("quay.io/c/c:v1", f"quay.io/c/c@{IMAGE.top}")),
        ("quay.io/A:1", None),
        ("quay.io/a:1 b", None),
        ("quay.io/../a:1", None),
        ("quay.io/a@sha256:1", None),
        ("", None),
    ],
)
def test_names_are_read_as_containerd_reads_them(text: str, names: tuple[str, ...] | None) -> None:
    found = image_name.parse(text)
    assert (found.names if found else None) == names
