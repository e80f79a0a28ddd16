"""CDI specifications that doctor is given."""

from __future__ import annotations

import json

import pytest
from tests.lab.given import diagnosed, root, roots

# The field report's, word for word.
INVENTED = """\
{
  "cdiVersion": "0.6.0",
  "kind": "VendorDevice",
  "metadata": { "vendor": "vfio.example.com", "class": "pgpu" },
  "devices": [
    {
      "name": "0000_65_00_0",
      "containerEdits": {
        "deviceNodes": [
          { "path": "/dev/vfio/vfio", "type": "c", "permissions": "rwm" },
          { "path": "/dev/vfio/42",   "type": "c", "permissions": "rwm" }
        ],
        "env": [{ "name": "GPU_PCI_ADDR", "value": "0000:65:00.0" }]
      }
    }
  ]
}
"""
DEVICE = {"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/vfio/25", "permissions": "rwm", "type": "c"}]}}
GOOD = {"cdiVersion": "0.5.0", "kind": "nvidia.com/pgpu", "devices": [DEVICE]}


def spec(**changes: object) -> str:
    return json.dumps({**GOOD, **changes}, indent=2)


def test_a_file_that_is_right_has_no_root() -> None:
    assert roots(spec()) == []
    assert (
        roots("cdiVersion: 0.5.0\nkind: nvidia.com/pgpu\ndevices:\n- name: a\n  containerEdits: {env: [A=b]}\n") == []
    )


def test_the_field_report_s_vendor_device_is_no_kind() -> None:
    first = diagnosed(INVENTED).roots[0]
    assert (first.sign.id, [follow.sign.id for follow in first.follows]) == ("cdi.file_kind", ["cdi.parses"])
    found = root(INVENTED, "cdi.file_kind", "/tmp/vfio-gpus.json")
    assert found.evidence[0].source == "/tmp/vfio-gpus.json:3"
    assert found.fix
    assert '"kind": "vfio.example.com/pgpu"' in found.fix.text
    assert 'unknown field "metadata"' in first.follows[0].sign.finding.found


@pytest.mark.parametrize(
    ("text", "check", "said"),
    [
        (spec(cdiVersion="0.7.0"), "cdi.version", "0.7.0"),
        (spec(cdiVersion="9.0.0"), "cdi.version", "9.0.0"),
        (spec(cdiVersion="0.5"), "cdi.parses", "invalid version"),
        (spec(devices=[DEVICE, DEVICE]), "cdi.parses", 'multiple device "0"'),
        (spec(devices=[]), "cdi.parses", "no devices"),
        (spec(devices=[{"name": "0", "containerEdits": {}}]), "cdi.parses", "empty device edits"),
        (spec()[:-3], "os.file_parses", "line"),
    ],
)
def test_what_is_wrong_is_the_root(text: str, check: str, said: str) -> None:
    assert roots(text) == [check]
    assert said in root(text, check).found
    assert "/etc/cdi/given" not in repr(root(text, check))
