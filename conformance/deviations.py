"""The register of known deviations: places where torch does not do what its documentation says.

Each entry of `deviations.toml` names a *quirk*. For programs that is a switch of the model or of
the oracle that makes the prediction what torch does: a deviation is known exactly where the
prediction with the quirk agrees with what was seen, so that it hides nothing beside it. For scripts
it is a name that the claim's own check gives to a finding.
"""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from conformance.model import QUIRKS
from conformance.model.quirks import FORMER
from conformance.oracle.quirks import REPLACED, SELF_PRODUCT
from conformance.records import KINDS
from conformance.transform_causes import CAUSES
from strategies.draft import check
from strategies.program import Program, ProgramError, decode

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


SCRIPT_QUIRKS = frozenset(
    {
        "alpha-dropout-ignores-inplace",
        "baddbmm-times-nothing",
        "batch-norm-mixed-formats",
        "channel-shuffle-underived",
        "comparison-in-place-of-one-dtype",
        "foreach-addcdiv-index",
        "gather-by-columns",
        "index-fill-adds-dimension",
        "index-fill-fills-a-block",
        "index-select-adds-dimension",
        "integer-division-ends-process",
        "conv-transpose-of-points",
        "igamma-series-nine-digits",
        "kron-refuses-strides",
        "logcumsumexp-forgets-nan",
        "logcumsumexp-loses-nan",
        "logit-by-place",
        "masked-scatter-by-memory",
        "max-pool3d-refuses-strides",
        "median-of-expanded",
        "mvlgamma-of-integers",
        "nan-gradient-by-place",
        "new-tensors-forget-requires-grad",
        "pad-refuses-nothing",
        "prod-of-one-zero",
        "sgn-gradient-immutable",
        "slice-scatter-reads-no-step",
        "stack-gradients-share-memory",
        "take-out-lost",
        "triangle-out-of-bounds",
        "wrapped-diagonal-out-of-bounds",
    }
)
"""The quirks that a script shows: claims put by scripts can name them in a finding, and programs
that meet one are unspecified, not drawn, or expected to raise.
"""


class RegisterError(Exception):
    """The register cannot be used; the message is one sentence that names the entry."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One known deviation, as it stands in the register."""

    id: str
    title: str
    kind: str
    claim: str
    subjects: tuple[str, ...]
    torch: str
    quirk: str
    cause: str
    upstream: str
    date: str
    program: str = ""
    script: str = ""
    """For a claim that is put by scripts: sets `facts["deviates"]`."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """An entry whose fields were checked, with its shrunk program if it has one."""

    entry: Entry
    program: Program | None

    def applies(self, mode_device: str, torch: str) -> bool:
        """Whether it is registered for a subject (`eager-cpu`) of this torch version."""
        try:
            version = Version(torch)
        except InvalidVersion:
            return False
        versions = SpecifierSet(self.entry.torch)
        return self.concerns(mode_device) and versions.contains(version, prereleases=True)

    def concerns(self, mode_device: str) -> bool:
        """Whether it is registered for a subject (`eager-cpu`) of some torch version."""
        return any(fnmatch.fnmatch(mode_device, pattern) for pattern in self.entry.subjects)


def named(deviations: Iterable[Deviation]) -> str:
    """The ids of deviations, and the versions of torch for which each is registered."""
    return ", ".join(f"{d.entry.id}, torch {d.entry.torch}" for d in deviations)


def read_register(path: Path) -> tuple[Deviation, ...]:
    """Every entry of a register file; raises RegisterError if one is not valid."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RegisterError(f"{path.name} cannot be read: {error}.") from None
    entries = []
    raws = table.get("deviation", [])
    if not isinstance(raws, list) or not all(isinstance(raw, dict) for raw in raws):
        raise RegisterError(f"{path.name} must hold [[deviation]] tables and nothing else.")
    for number, raw in enumerate(raws, start=1):
        where = f"{path.name}, entry {number} ({raw.get('id', 'without id')})"
        try:
            entry = msgspec.convert(raw, Entry)
            program = decode(entry.program) if entry.program else None
            if program is not None:
                check(program)
            SpecifierSet(entry.torch)
        except (msgspec.ValidationError, ProgramError, InvalidSpecifier) as error:
            raise RegisterError(f"{where}: {error}") from None
        if entry.kind not in KINDS:
            raise RegisterError(f"{where}: {entry.kind!r} is no kind of deviation.")
        if (program is None) == (not entry.script):
            raise RegisterError(f"{where} must have either a program or a script.")
        of_programs = QUIRKS | FORMER | REPLACED.keys() | {SELF_PRODUCT} | CAUSES.keys()
        known = of_programs if program is not None else SCRIPT_QUIRKS
        if entry.quirk not in known:
            raise RegisterError(f"{where}: {entry.quirk!r} is none of {', '.join(sorted(known))}.")
        entries.append(Deviation(entry, program))
    return tuple(entries)


@lru_cache(maxsize=1)
def register() -> tuple[Deviation, ...]:
    """The register that the suite ships."""
    return read_register(Path(str(files("conformance") / "deviations.toml")))
