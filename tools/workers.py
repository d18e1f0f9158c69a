"""The worker environments of tox.ini: which there are, and how one is made."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from conformance.subjects.environments import PREFIX, Environment, environment_at

_TOX = (sys.executable, "-m", "tox")
_REASONS = (
    re.compile(r"failed with (?P<why>could not find python interpreter.*)"),
    re.compile(r"ERROR: (?P<why>.*)"),
    re.compile(r"(?P<why>.*\S.*)"),
)
"""How tox and pip say why an environment cannot be made, the most telling way first."""


class CannotMake(Exception):
    """A worker environment cannot be made here; the message is the reason."""


class NoTox(Exception):
    """The environments of tox.ini cannot be listed; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker environment as tox.ini has it: its label, the torch that it wants, its folder."""

    label: str
    torch: Requirement
    folder: Path

    @property
    def subject(self) -> str:
        """The name under which its torch is judged, as far as it is known before it is there."""
        return str(self.torch) if self.torch.specifier else f"torch ({self.label})"

    def present(self) -> Environment | None:
        """The environment, if it is there and holds the torch that tox.ini wants."""
        found = environment_at(self.folder)
        if found is None or not self.torch.specifier.contains(found.torch, prereleases=True):
            return None
        return found

    def made(self) -> Environment:
        """The environment, made by tox unless it is there; raises CannotMake with the reason."""
        found = self.present()
        if found is not None:
            return found
        name = f"{PREFIX}{self.label}"
        done = _tox("run", "-e", name, "--notest", "--skip-missing-interpreters=false")
        found = self.present()
        if done.returncode != 0 or found is None:
            raise CannotMake(reason(done.stdout))
        return found


def workers() -> dict[str, Worker]:
    """Label -> worker environment, in the order of tox.ini; raises NoTox where there is none."""
    listed = _tox("list", "--no-desc", "-q")
    names = [name for name in listed.stdout.split() if name.startswith(PREFIX)]
    if listed.returncode != 0 or not names:
        raise NoTox("There are no worker environments here; run it where the suite's tox.ini is.")
    said = _tox("config", "-q", "-e", ",".join(names), "-k", "deps", "env_dir")
    config = ConfigParser(interpolation=None)
    config.read_string(said.stdout)
    return {one.label: one for one in (_worker(name, config[f"testenv:{name}"]) for name in names)}


def _worker(name: str, section: Mapping[str, str]) -> Worker:
    wanted = [Requirement(line) for line in section["deps"].split("\n") if line.strip()]
    (torch,) = (one for one in wanted if one.name == "torch")
    return Worker(name.removeprefix(PREFIX), torch, Path(section["env_dir"]))


def reason(output: str) -> str:
    """Why tox could not make an environment, in the words of tox or pip."""
    lines = output.strip().splitlines()
    for pattern in _REASONS:
        for line in lines:
            found = pattern.search(line)
            if found:
                return found["why"].strip().rstrip(".")
    return "tox did not say why"


def _tox(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What tox does and prints, without colours; that of another tox does not reach it."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("TOX_")}
    env["NO_COLOR"] = "1"
    work = os.environ.get("TOX_WORK_DIR")
    if work:
        arguments = (*arguments, "--workdir", work)
    return subprocess.run(
        (*_TOX, *arguments),
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        check=False,
    )
