"""Mutants of a module, each put to tests in a fork of a process that has imported the rest."""

from __future__ import annotations

import difflib
import importlib
import importlib.abc
import importlib.util
import os
import resource
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType
from typing import Any

import click

_OPTIONS = ("-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist")
_CPU_SECONDS, _WALL_SECONDS = 200, 1800
"""What does not end by then counts as noticed: unchanged, no group's tests take a fifth of it."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module by its path in the tree, its text, and another text that is tried in its place."""

    key: str
    path: Path
    source: str
    changed: str

    @property
    def diff(self) -> str:
        lines = self.source.splitlines(), self.changed.splitlines()
        name = str(self.path)
        return "\n".join(difflib.unified_diff(*lines, name, name, lineterm=""))


def results(
    tree: Path,
    ready: Iterable[str],
    tests: tuple[str, ...],
    mutants: Iterable[Mutant],
    workers: int,
) -> Iterator[tuple[Mutant, bool, str]]:
    """Each mutant, whether tests failed of it, and what they printed; as they end, not in order.

    `tests` are lines of pytest's arguments; the next line is run where the first found nothing.
    Raises ClickException if they fail on what is not mutated, or if `ready` imports a mutant.
    """
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    for name in ready:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as scratch:
        logs = Path(scratch)
        _, failed = os.waitpid(_forked(tree, None, tests, logs / "unchanged"), 0)
        if failed:
            said = (logs / "unchanged").read_text(errors="replace")
            raise click.ClickException(f"The tests fail on what is not mutated.\n{said}")
        running: dict[int, Mutant] = {}
        coming = iter(mutants)
        while True:
            while len(running) < workers and (mutant := next(coming, None)) is not None:
                if _module(mutant.path) in sys.modules:
                    raise click.ClickException(f"{mutant.path} is imported before it is mutated.")
                running[_forked(tree, mutant, tests, logs / mutant.key)] = mutant
            if not running:
                return
            child, failed = os.wait()
            if child in running:
                mutant = running.pop(child)
                log = logs / mutant.key
                yield mutant, bool(failed), log.read_text(errors="replace")
                log.unlink()


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds the mutated module, and loads it with the other text."""

    def __init__(self, mutant: Mutant, tree: Path) -> None:
        self.name = _module(mutant.path)
        self.path = str(tree / mutant.path)
        self.text = mutant.changed

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def get_source(self, fullname: str) -> str:
        return self.text

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.text, self.path, "exec")


@contextmanager
def replaced(mutant: Mutant, tree: Path) -> Iterator[None]:
    """Whoever imports the module gets what it is mutated to; nothing on disk changes."""
    finder = _Finder(mutant, tree)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def _forked(tree: Path, mutant: Mutant | None, tests: tuple[str, ...], log: Path) -> int:
    """The number of a process that runs the tests and ends with 0 if none failed."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.setsid()
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
        signal.alarm(_WALL_SECONDS)
        with replaced(mutant, tree) if mutant is not None else nullcontext():
            status = _failed(tests)
    finally:
        sys.stdout.flush()
        os._exit(status)


def _failed(tests: tuple[str, ...]) -> int:
    """What pytest says of the first line of tests that fails, or 0."""
    pytest: Any = importlib.import_module("pytest")
    hypothesis: Any = importlib.import_module("hypothesis")
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # nobody reads what is shrunk
    hypothesis.settings.register_profile("mutants", phases=phases, database=None, deadline=None)
    hypothesis.settings.load_profile("mutants")
    for line in tests:
        status = int(pytest.main([*_OPTIONS, *shlex.split(line)]))
        if status:
            return status
    return 0
