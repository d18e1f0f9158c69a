"""The interpreters of tox's worker environments, and the torch that each of them holds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from conformance.subjects.errors import SubjectError

VARIABLE = "AUTOGRAD_CONFORMANCE_WORKERS"
"""The environment variable that names one more folder of worker environments."""
PREFIX = "worker-"


@dataclass(frozen=True, slots=True)
class Environment:
    """A worker environment: the label in its folder's name, its interpreter, its torch."""

    label: str
    python: Path
    torch: str

    @property
    def subject(self) -> str:
        """The name under which it is judged, as in "torch==2.4.1"."""
        return f"torch=={Version(self.torch).public}"


def folders() -> list[Path]:
    """Where worker environments are looked for: `.tox` here, and what the variable names."""
    named = os.environ.get(VARIABLE, "")
    return [Path(".tox"), *([Path(named).expanduser()] if named else [])]


def environment_at(folder: Path) -> Environment | None:
    """The environment in a folder, read from the metadata of its packages; None without a torch."""
    python = folder / "bin" / "python"
    if not os.access(python, os.X_OK):
        return None
    for packages in sorted(folder.glob("lib/python3*/site-packages")):
        for torch in distributions(name="torch", path=[str(packages)]):
            return Environment(folder.name.removeprefix(PREFIX), python.absolute(), torch.version)
    return None


def environments() -> list[Environment]:
    """The worker environments at hand that hold a torch, oldest torch first; none is started."""
    return sorted(_found(), key=lambda one: Version(one.torch))


def _found() -> Iterator[Environment]:
    for place in folders():
        for folder in sorted(place.glob(f"{PREFIX}*")):
            environment = environment_at(folder)
            if environment is not None:
                yield environment


def find_torch(version: str) -> Environment | None:
    """The environment that holds this version of torch: the newest build where several do."""
    wanted = wanted_torch(version)
    fitting = [one for one in environments() if wanted.contains(one.torch, prereleases=True)]
    return fitting[-1] if fitting else None


def why_none(version: str) -> str:
    """That no environment holds this version, and what to do about it."""
    label = label_of(version)
    what = f"`tox run -e {label}` makes one" if label else "name an interpreter with python=PATH"
    places = " and ".join(str(folder) for folder in folders())
    return f"no worker environment in {places} holds torch {version}; {what}."


def wanted_torch(version: str) -> SpecifierSet:
    """What `torch==VERSION` asks for; raises SubjectError for what is no version."""
    try:
        return SpecifierSet(f"=={version}")
    except InvalidSpecifier:
        raise SubjectError(
            f"{version!r} is no version of torch; name one as in torch==2.4.1."
        ) from None


def label_of(version: str) -> str:
    """The environment of tox.ini, in the current folder, that is made for a version, or ""."""
    try:
        text = Path("tox.ini").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(rf"^\s*(\w+): torch=={re.escape(version)}\s*$", text, re.MULTILINE)
    return found[1] if found else ""
