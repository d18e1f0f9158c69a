"""The planted faults that every change is tried against."""

from __future__ import annotations

from pathlib import Path

from conformance.planted import By, Fault, read_faults

FOLDER = Path(__file__).with_name("faults")


def subset() -> dict[str, Fault]:
    """The faults of the fixed subset: those that are found within seconds."""
    return {name: fault for name, fault in read_faults(FOLDER).items() if not fault.nightly}


def planted_pairs() -> list[tuple[str, By]]:
    """Each fault of an eager torch in the subset, with each claim that must catch it."""
    return [
        (name, by) for name, fault in subset().items() if fault.mode == "eager" for by in fault.by
    ]
