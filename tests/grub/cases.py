"""GRUB configurations as they are met: path -> text."""

from __future__ import annotations

DEBIAN = """GRUB_DEFAULT=0
GRUB_TIMEOUT=5
GRUB_DISTRIBUTOR=`lsb_release -i -s 2> /dev/null || echo Debian`
GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_CMDLINE_LINUX=""
"""
_GRUB, _D = "/etc/default/grub", "/etc/default/grub.d"

CASES: dict[str, dict[str, str]] = {
    "debian": {_GRUB: DEBIAN},
    "cloud-image": {
        _GRUB: DEBIAN.replace('"quiet"', '"quiet splash"'),
        f"{_D}/50-cloudimg-settings.cfg": "# Cloud image\nGRUB_TIMEOUT=0\n"
        'GRUB_CMDLINE_LINUX_DEFAULT="console=tty1 console=ttyS0 nvme_core.io_timeout=4294967295"\nGRUB_TERMINAL=console\n',
        f"{_D}/kdump-tools.cfg": 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=512M-:192M"\n',
        f"{_D}/init-select.cfg": "# does nothing\n",
    },
    "curtin": {
        _GRUB: DEBIAN.replace('"quiet"', '"console=ttyS1,115200n8"'),
        f"{_D}/50-curtin-settings.cfg": 'GRUB_TERMINAL="console"\nGRUB_DISABLE_OS_PROBER="true"\n',
    },
    "opposite": {
        _GRUB: DEBIAN.replace('LINUX=""', 'LINUX="systemd.unified_cgroup_hierarchy=0 audit=1"').replace(
            '"quiet"', "'quiet intel_iommu=off'"
        )
    },
    "already-there": {_GRUB: DEBIAN.replace('LINUX=""', 'LINUX="intel_iommu=on systemd.unified_cgroup_hierarchy=yes"')},
    "complete": {
        _GRUB: DEBIAN.replace(
            'LINUX=""',
            'LINUX="intel_iommu=on systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all transparent_hugepage=madvise"',
        )
    },
    "no-drop-in-folder": {_GRUB: DEBIAN},
    "no-defaults": {},
    "quoted": {_GRUB: DEBIAN.replace('"quiet"', "'quiet dyndbg=\"file ec.c +p\"'")},
    "syntax-error": {_GRUB: DEBIAN, f"{_D}/90-user.cfg": 'GRUB_TIMEOUT=3\nGRUB_CMDLINE_LINUX="audit=1\n'},
    "failing-command": {_GRUB: DEBIAN, f"{_D}/90-user.cfg": "GRUB_TIMEOUT=$(cat /nonexistent/timeout)\n"},
    "clobbered": {_GRUB: DEBIAN, f"{_D}/zzz-site.cfg": '# ours\nGRUB_CMDLINE_LINUX_DEFAULT="loglevel=3"\n'},
    "initargs": {_GRUB: DEBIAN.replace('"quiet"', '"quiet -- splash"')},
}
