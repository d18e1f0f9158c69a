"""A program as the text of a torch script's body, the very text that a subject executes.

Only validated identifiers and numbers are interpolated, so that printing a stranger's program
yields nothing but operations of the table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from strategies.draft import Draft, Shaped, Value, placed_in, spelling
from strategies.functions import Function, functions_of
from strategies.layout import Layout
from strategies.program import Backward, Data, Leaf, Mode
from strategies.transforms import Transform
from strategies.values import materialise

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


def number(value: float | int | bool | None) -> str:
    """A Python literal that means exactly this number."""
    if value is None or isinstance(value, (bool, int)):
        return repr(value)
    return repr(float(value)) if math.isfinite(value) else f'float("{value}")'


def literal(array: NDArray[Any], device: str = "cpu", extra: str = "") -> str:
    """A torch expression that builds a tensor of this dtype, shape and values, not a view."""
    place = "" if device == "cpu" else f', device="{device}"'
    dtype = f"dtype=torch.{array.dtype.name}"
    if array.size == 0 and array.shape:
        return f"torch.zeros({tuple(array.shape)}, {dtype}{place}{extra})"
    return f"torch.tensor({_nested(array.tolist())}, {dtype}{place}{extra})"


def _nested(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_nested, value))}]"
    return number(value)


def leaf_line(leaf: Leaf, device: str) -> str:
    array = materialise(leaf.data, leaf.shape, leaf.dtype, leaf.name)
    extra = ", requires_grad=True" if leaf.requires_grad else ""
    return f"{leaf.name} = {literal(array, device, extra)}"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        items = [_plain(item) for item in value]
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
    if isinstance(value, str):
        return 'float("inf")' if value == "inf" else f'"{value}"'
    return number(value)


def _subscript(item: Any) -> str:
    if item == "...":
        return "..."
    if item is None or isinstance(item, int):
        return repr(item)
    start, stop, step = ("" if part is None else repr(part) for part in item)
    return f"{start}:{stop}" + (f":{step}" if step else "")


def _parameters(shaped: Shaped, placed: frozenset[str]) -> str:
    """The parameters as they follow the operands; what equals its default is left out, and what is
    placed elsewhere.
    """
    texts: list[str] = []
    named = False
    for param in shaped.row.params:
        value = shaped.params[param.name]
        if param.name in placed:
            continue
        if param.kind in ("index", "written index"):
            inner = ", ".join(map(_subscript, value)) or "()"
            texts.append(inner)
        elif not param.required and value == param.default:
            named = True
        elif named or param.keyword:
            texts.append(f"{param.name}={_plain(value)}")
        else:
            texts.append(_plain(value))
    return "".join(f", {text}" for text in texts)


def expression(shaped: Shaped) -> str:
    """The step's right-hand side, or the whole statement of an in-place step."""
    template = spelling(shaped.row, shaped.in_place, shaped.step.via)
    names = [o.name if isinstance(o, Value) else number(o) for o in shaped.operands]
    placed = placed_in(template)
    values = {name: _plain(shaped.params[name]) for name in placed}
    text = template.format(*names, p=_parameters(shaped, placed), **values)
    return text.replace("(, ", "(").replace("[, ", "[")


def statement(shaped: Shaped) -> str:
    if shaped.in_place:
        return expression(shaped)
    names = shaped.step.to
    left = f"({names[0]},)" if len(names) == 1 and shaped.row.multi else ", ".join(names)
    return f"{left} = {expression(shaped)}"


def _cotangent(name: str, root: Layout, data: Data | None, device: str) -> str:
    if data is None:
        return "None"
    return literal(materialise(data, root.shape, "float64", name), device)


def backward_line(draft: Draft, index: int, step: Backward, device: str) -> str:
    data = step.cotangents or (None,) * len(step.of)
    roots = zip(step.of, draft.roots[index], data, strict=True)
    cotangents = [_cotangent(name, root, given, device) for name, root, given in roots]
    options = ", retain_graph=True" if step.retain_graph else ""
    start = f"[{', '.join(step.of)}]"
    inputs = f"[{', '.join(step.inputs)}]"
    if step.via == "grad":
        left = ", ".join(f"{name}.grad" for name in step.inputs)
        comma = "," if len(step.inputs) == 1 else ""
        call = f"torch.autograd.grad({start}, {inputs}, [{', '.join(cotangents)}]"
        # What sum() gives back repeats one cell, and nothing could be added to it in place.
        copied = f"g if g is None else g.clone() for g in {call}{options}, allow_unused=True)"
        return f"{left}{comma} = [{copied}]"
    if len(step.of) > 1 or step.inputs:
        only = f", inputs={inputs}" if step.inputs else ""
        return f"torch.autograd.backward({start}, [{', '.join(cotangents)}]{options}{only})"
    first = "" if cotangents[0] == "None" else cotangents[0]
    inner = f"{first}{options}" if first else options.removeprefix(", ")
    return f"{step.of[0]}.backward({inner})"


class _Writer:
    """Lines at the depth of the grad-mode regions that are open."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.open: list[tuple[Mode, int]] = []
        self.inside = False
        """Whether a function is open, in which the regions are."""
        self._functions = 0
        self._globals: list[tuple[int, dict[str, None]]] = []

    def _indent(self) -> str:
        return "    " * (len(self.open) + self.inside)

    def begin(self, function: Function) -> None:
        """Open a function."""
        self.enter(())
        named = f"function_{function.number}({_listed(function.takes)})"
        self.lines += ["@transformed", f"def {named}:"]
        self.inside = True

    def end(self, function: Function) -> None:
        """Close a function, and call it."""
        self.enter(())
        call = f"function_{function.number}({_listed(function.takes)})"
        gives = _listed(function.gives)
        self.lines += [f"    return {gives}"] if gives else []
        self.inside = False
        self.lines.append(f"{gives} = {call}" if gives else call)

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

    With a transform, its functions are functions; without, they are steps like others. Raises
    nothing: the draft is legal.
    """
    writer = _Writer()
    functions = functions_of(draft.steps) if transform is not None else []
    begins = {function.first: function for function in functions}
    ends = {function.last: function for function in functions}
    if transform is not None:
        writer.lines += transform.setup.splitlines()
    for leaf in draft.leaves:
        writer.write(leaf_line(leaf, device), ())
    where: list[int] = []
    for index, step in enumerate(draft.shaped):
        if index in begins:
            writer.begin(begins[index])
        if isinstance(step, Backward):
            writer.enter(step.modes)
            where.append(writer.write(backward_line(draft, index, step, device), ()))
        else:
            writer.enter(step.step.modes)
            where.append(writer.write(statement(step), _assigned(step)))
        if watch and not writer.inside:
            writer.enter(())
            writer.write(f"watch({index})", ())
        if index in ends:
            writer.end(ends[index])
    writer.enter(())
    return Body("\n".join(writer.lines) + "\n", tuple(where))
