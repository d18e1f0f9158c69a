"""Cases that are whole scripts rather than programs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from conformance.judge import Finding
from conformance.script_verdict import Judge, Judgement, epilogue, hook
from conformance.subjects import Observation
from strategies.script import commented

PRELUDE = """\
import math
import random

import torch
from torch import nn
from torch.nn import functional as F

DEVICE = {device!r}
facts = {{}}
"""
"""What a subject's namespace holds before a script's body runs."""


@dataclass(frozen=True, slots=True)
class Script:
    """A case that is a whole script: its body, the names to look at, and what must be seen.

    `beyond` is the condition of the claim's scope that it breaks, in a word; where it is not empty,
    what must be seen by the claim's sentence need not be. `ends` is the quirk that it is if the
    script ends the process.
    """

    body: str
    observe: tuple[str, ...]
    judge: Judge = field(compare=False, repr=False)
    beyond: str = ""
    ends: str = ""

    @property
    def id(self) -> str:
        return hashlib.sha256(self.body.encode()).hexdigest()[:16]

    def findings(self, observation: Observation) -> list[Finding]:
        """What the subject showed that it must not have."""
        return self.judge(observation).findings

    def text(self, device: str, header: tuple[str, ...] = ()) -> str:
        """The script as it runs by itself, printing what was looked at; `header` is a comment."""
        shown = "\n".join(f"print({name!r}, {name})" for name in self.observe)
        if "backward(" in self.body:
            tensors = [name for name in self.observe if name != "facts"]
            read = 'getattr({0}, "grad", None) if getattr({0}, "is_leaf", False) else None'
            grads = [f'print("{name}.grad", {read.format(name)})' for name in tensors]
            shown = "\n".join([shown, *grads])
        return f"{_said(header)}{PRELUDE.format(device=device)}\n{self.body.rstrip()}\n\n{shown}\n"

    def judging(self, device: str, judgement: Judgement, header: tuple[str, ...] = ()) -> str:
        """The script as it runs by itself and says what the judgement is of what it shows.

        It needs torch alone, and exits with 1 if something is wrong.
        """
        start = f"{_said(header)}{PRELUDE.format(device=device)}\n{hook(judgement)}"
        return f"{start}\n{self.body.rstrip()}\n\n\n{epilogue(judgement)}"


def _said(header: tuple[str, ...]) -> str:
    return "".join(f"{line}\n" for line in commented(header))
