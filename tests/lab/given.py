"""Files as a user brings them to doctor, alone."""

from __future__ import annotations

from caasctl import brought, doctor, profile_load
from caasctl.diagnosis import Diagnosis
from caasctl.doctor import files
from caasctl.doctor.rules import shipped_rules
from caasctl.model import Finding


def diagnosed(text: str, name: str = "given") -> Diagnosis:
    """What doctor says of a file of this text, without a host."""
    given = (files.recognised(name, text),)
    found = brought.alone(given, profile_load.load())
    return doctor.diagnose(doctor.Case(found, named=brought.about(given)), shipped_rules())


def roots(text: str, name: str = "given") -> list[str]:
    return [root.sign.id for root in diagnosed(text, name).roots]


def notes(text: str) -> list[str]:
    return [root.sign.id for root in diagnosed(text).notes]


def root(text: str, check: str, name: str = "given") -> Finding:
    """The finding of a check among the roots."""
    return next(one.sign.finding for one in diagnosed(text, name).roots if one.sign.id == check)
