"""A group of commands that imports each of them when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click


class LazyGroup(click.Group):
    """Commands by the modules that define them, under their own names.

    What one command needs, jax for example, need not be there for another one.
    """

    def __init__(self, *, modules: Mapping[str, str], **given: object) -> None:
        super().__init__(**given)  # type: ignore[arg-type]
        self._modules = dict(modules)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, in alphabetical order."""
        return sorted(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, None where there is none."""
        if cmd_name not in self._modules:
            return None
        found = getattr(importlib.import_module(self._modules[cmd_name]), cmd_name)
        assert isinstance(found, click.Command), f"{cmd_name} is a command"
        return found
