"""The commands about GPUs: gpu list, gpu map."""

from __future__ import annotations

import sys

from caasctl.cli.app import Bundle, Format, Output, Profile, Root, Settings, gpus, listable

_DEFAULT = "single-node"


@gpus.command("list")
def gpu_list(
    *,
    profile: Profile = _DEFAULT,
    settings: Settings = None,
    bundle: Bundle = None,
    root: Root = "/",
    output: Output = Format.TEXT,
) -> None:
    """A row for each GPU: address, group, driver, NUMA node, BARs, link, and whether a guest can have it."""
    from caasctl import commands, looking  # noqa: PLC0415
    from caasctl.report import gpu as text  # noqa: PLC0415

    found, notes = looking.gpus(commands.Session(profile, settings, bundle, root))
    text.write_list(found, notes, listable(output, "GPUs"), sys.stdout)


@gpus.command("map")
def gpu_map(
    *,
    profile: Profile = _DEFAULT,
    settings: Settings = None,
    bundle: Bundle = None,
    root: Root = "/",
    output: Output = Format.TEXT,
) -> None:
    """From NUMA node and root port to IOMMU group, functions, VFIO node, CDI name and resource."""
    from caasctl import commands, looking  # noqa: PLC0415
    from caasctl.report import gpu as text  # noqa: PLC0415

    found, notes = looking.gpus(commands.Session(profile, settings, bundle, root))
    text.write_map(found, notes, listable(output, "GPUs"), sys.stdout)
