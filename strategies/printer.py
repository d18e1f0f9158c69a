"""A program as the text of a torch script's body, the very text that a subject executes.

Only validated identifiers and numbers are interpolated, so that printing a stranger's program
yields nothing but operations of the table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from strategies.draft import Draft, Shaped, spelling
from strategies.functions import Function, functions_of, with_calls_again
from strategies.manners import Plainly, manner_of
from strategies.program import Backward, Mode
from strategies.statements import statement
from strategies.transforms import Transform

_MANAGERS: dict[str, str] = {
    "no_grad": "torch.no_grad()",
    "enable_grad": "torch.enable_grad()",
    "inference_mode": "torch.inference_mode()",
    "set_grad_enabled(False)": "torch.set_grad_enabled(False)",
    "set_grad_enabled(True)": "torch.set_grad_enabled(True)",
}

_DEVICE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}(:[0-9]{1,4})?")
DEVICES = tuple("cpu cuda hpu ipu maia mps mtia privateuseone vulkan xla xpu".split())
"""The devices that torch knows by itself and tensors can be read from; a vendor's is the
`privateuseone`.
"""


def is_device(text: str) -> bool:
    """Whether a text has the form of a device, so that it may stand in a script."""
    return _DEVICE.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Body:
    """The text of a program, and the line on which each leaf and step stands (from 1)."""

    text: str
    step_lines: tuple[int, ...]

    def step_at(self, line: int | None) -> int | None:
        """The index of the step that a line of the text belongs to; None for a leaf's line."""
        return self.step_lines.index(line) if line in self.step_lines else None


class _Writer:
    """Lines at the depth of the grad-mode regions that are open."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.open: list[tuple[Mode, int]] = []
        self.inside = False
        """Whether a function is open, in which the regions are."""
        self.within = 0
        """How many blocks the whole program stands in."""
        self._functions = 0
        self._globals: list[tuple[int, dict[str, None]]] = []

    def _indent(self) -> str:
        return "    " * (len(self.open) + self.inside + self.within)

    def begin(self, function: Function) -> None:
        """Open a function."""
        self.enter(())
        named = f"function_{function.number}({_listed(function.takes)})"
        self.lines += [f"{self._indent()}@transformed", f"{self._indent()}def {named}:"]
        self.inside = True

    def end(self, function: Function) -> None:
        """Close a function, and call it."""
        self.enter(())
        call = f"function_{function.number}({_listed(function.takes)})"
        gives = _listed(function.gives)
        self.lines += [f"{self._indent()}return {gives}"] if gives else []
        self.inside = False
        self.lines.append(self._indent() + (f"{gives} = {call}" if gives else call))

    def again(self, function: Function) -> None:
        """Call a function that stands above."""
        self.enter(function.modes)
        call = f"function_{function.again}({_listed(function.takes)})"
        gives = _listed(function.gives)
        self.write(f"{gives} = {call}" if gives else call, function.gives)

    def call(self, lines: Sequence[str]) -> int:
        """A decorated function of one statement, and its call; the line of the statement."""
        self._functions += 1
        named = f"called_{self._functions}()"
        self.lines += [f"{self._indent()}@called", f"{self._indent()}def {named}:"]
        self.lines += [f"{self._indent()}    {line}" for line in lines]
        place = len(self.lines)
        self.lines.append(f"{self._indent()}{named}")
        return place

    def enter(self, modes: Sequence[Mode]) -> None:
        """Close and open regions until exactly these are open."""
        shared = 0
        for (mode, _), wanted in zip(self.open, modes, strict=False):
            if mode != wanted:
                break
            shared += 1
        while len(self.open) > shared:
            mode, function = self.open.pop()
            if mode.startswith("@"):
                line, names = self._globals.pop()
                inside = f"global {', '.join(names)}" if names else "pass"
                self.lines[line] = f"{self._indent()}    {inside}"
                self.lines.append(f"{self._indent()}decorated_{function}()")
        for mode in modes[shared:]:
            if mode.startswith("@"):
                self._functions += 1
                self.lines.append(f"{self._indent()}@torch.{mode[1:]}()")
                self.lines.append(f"{self._indent()}def decorated_{self._functions}():")
                self._globals.append((len(self.lines), {}))
                self.lines.append("")
            else:
                self.lines.append(f"{self._indent()}with {_MANAGERS[mode]}:")
            self.open.append((mode, self._functions))

    def write(self, line: str, assigned: Sequence[str]) -> int:
        if self._globals:
            self._globals[-1][1].update(dict.fromkeys(assigned))
        self.lines.append(f"{self._indent()}{line}")
        return len(self.lines)


def _assigned(shaped: Shaped) -> tuple[str, ...]:
    if not shaped.in_place:
        return shaped.step.to
    template = spelling(shaped.row, True, shaped.step.via)
    augmented = shaped.step.via == "operator" and "{0}[" not in template
    return (str(shaped.step.args[0]),) if augmented else ()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def print_body(
    draft: Draft,
    *,
    device: str = "cpu",
    watch: bool = False,
    transform: Transform | None = None,
) -> Body:
    """The program's statements, one a line; `watch` adds a call that looks at every tensor's flags.

    With a transform, its functions are functions, if it transforms any, and what else it makes of a
    program is there; without, they are steps like others. Raises nothing: the draft is legal.
    """
    writer = _Writer()
    manner = Plainly() if transform is None else manner_of(transform)
    on_functions = transform is not None and transform.on_functions
    functions = functions_of(draft.steps) if on_functions else []
    if transform is not None and transform.compiles:
        # What is made for one call is used for the next, or must be made anew.
        functions = with_calls_again(draft.steps)
    begins = {function.first: function for function in functions}
    ends = {function.last: function for function in functions}
    if transform is not None:
        writer.lines += transform.setup.splitlines()
    if transform is not None and transform.around:
        writer.lines.append(f"with {transform.around}:")
        writer.within = 1
    for position, leaf in enumerate(draft.leaves):
        writer.write(manner.leaf(leaf, position, device), ())
    where: list[int] = []
    again = {
        place: one for one in functions if one.again for place in range(one.first, one.last + 1)
    }
    for index, step in enumerate(draft.shaped):
        if index in again:
            if index == again[index].first:
                writer.again(again[index])
            where.append(len(writer.lines))
            continue
        if index in begins:
            writer.begin(begins[index])
        if isinstance(step, Backward):
            line = manner.backward(draft, index, step, device)
            writer.enter(step.modes)
            on_calls = transform is not None and transform.on_calls
            where.append(writer.call([line]) if on_calls else writer.write(line, ()))
        else:
            writer.enter(step.step.modes)
            where.append(writer.write(statement(step), _assigned(step)))
        if watch and not writer.inside:
            writer.enter(())
            writer.write(f"watch({index})", ())
        if index in ends:
            writer.end(ends[index])
    writer.enter(())
    for line in manner.last(draft):
        writer.write(line, ())
    return Body("\n".join(writer.lines) + "\n", tuple(where))
