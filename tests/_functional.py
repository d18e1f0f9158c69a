"""Programs without mutation: every storage is a value, and a write makes a new one.

The same programs in functional torch, on the tape of torch itself, to hold the model and the
oracle together against something that shares nothing with them: no layout is computed here, no
rule of autograd's bookkeeping is known, and all that is taken from the table is how an operation
is spelled. A tensor is a view of a flat row of index numbers, made by the very view operations of
the program, so torch itself decides where each element lies.

What a write means comes from the claims. A recorded one replaces value and derivative. One inside
`no_grad` replaces the value, "and the gradient passes through as if it had not happened"; and so
does any write for tensors that share the memory and were parted from the writer by `detach()`.
A view made inside `no_grad` is a result like any other there: no gradient flows back through it.
`detach_()` parts a tensor from what it was computed from, and `requires_grad_()` makes a variable
of what it holds: both begin a history of the tensor's own. Its older views keep the history that
they have, until a write makes them views of what the tensor is now.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import CodeType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from strategies.program import (
    Apply,
    Argument,
    Backward,
    Data,
    Leaf,
    Program,
    inferring,
    recording,
)
from strategies.table import OPERATIONS, TABLE, Row, fills
from strategies.table.out import SUFFIX
from strategies.values import materialise
from tests._meanings import OWN, diagonal_of, without_excluded

Floats = NDArray[np.float64]


class Unsupported(Exception):
    """The program asks for something that has no meaning without mutation; says what."""


class Untold(Unsupported):
    """The program asks for the gradient of a view, whose readers this walk does not tell from those
    of its base.
    """


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program leaves behind, by name; a gradient is None where no path leads to the leaf.

    Gradients are those of the program's leaves and of what became one, if it still is one, and of
    what calls were asked for by name.
    """

    values: dict[str, Floats]
    gradients: dict[str, Floats | None]


class Unrecorded(torch.autograd.Function):  # type: ignore[misc]  # torch is untyped here
    """The value of `new` with the derivative of `old`."""

    @staticmethod
    def forward(ctx: Any, old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        return new.clone()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        return grad, None


@dataclass(slots=True, eq=False)
class _History:
    """A storage as one history sees it: its value now, flat, bound anew by every write."""

    value: torch.Tensor
    family: list[_History]
    """All histories of the storage, this one among them."""
    computed: bool = False
    """Whether it holds the result of recorded operations, so that it is no leaf."""
    recorded: torch.Tensor | None = None
    """Its value when the last operation was recorded that made or wrote it."""


@dataclass(slots=True, eq=False)
class _Tensor:
    """Which elements of which storage; `places` has the strides of the tensor that it stands for.

    A `mute` tensor is a view made where nothing is recorded. Names of one tensor share this object.
    """

    name: str
    history: _History
    places: torch.Tensor
    mute: bool = False
    base: _Tensor | None = None
    """What it is a view of."""
    unread: bool = False
    """Whether it was written since a gradient's way through it was last asked for."""

    @property
    def left(self) -> bool:
        """Whether its base went on without it, and one of the two has a derivative."""
        base = self.base or self
        differs = self.history is not base.history
        return differs and any(each.history.value.requires_grad for each in (self, base))


@dataclass(slots=True)
class _Variable:
    """What a leaf held when it began to require grad, and where its elements lie."""

    flat: torch.Tensor
    places: torch.Tensor


def _numbered(count: int) -> torch.Tensor:
    """The numbers from 0 to `count`, one more than there are elements.

    So even the places of an empty storage have memory of their own, to tell views by.
    """
    return torch.arange(count + 1)


# -- operations -----------------------------------------------------------------------------------


INDICES = ("index", "written index")
FOREGONE = {row.name for row in fills.ROWS}
"""Rows that fill with one number, which their parameters leave no choice."""


def _without_slope(new: torch.Tensor, operands: list[Any]) -> torch.Tensor:
    """The same numbers, with a gradient of zeros for every operand."""
    for operand in operands:
        if isinstance(operand, torch.Tensor):
            new = torch.where(torch.ones_like(new, dtype=torch.bool), new, operand)
    return new


@cache
def _compiled(text: str) -> CodeType:
    return compile(text, "<operation>", "eval")


def _placed_in(template: str) -> set[str]:
    """The parameters that a spelling has a place of their own for."""
    return set(re.findall(r"{(?!p})([a-z]\w*)}", template))


def _spelled(row: Row, via: str, operands: list[Any], params: Mapping[str, Any]) -> Any:
    """The operation in its plain form, by the table's spelling."""
    operands, params = without_excluded(row.name, operands, params)
    ways = [w for w in row.plain.values() if "{p}" in w or not params.keys() - _placed_in(w)]
    template = row.plain[via] if via in row.plain else ways[0]
    space: dict[str, Any] = {"torch": torch, "nn": torch.nn, "F": F}
    texts = []
    placed: dict[str, str] = {}
    for param in row.params:
        if param.name in _placed_in(template):
            space[f"p_{param.name}"] = params.get(param.name, param.default)
            placed[param.name] = f"p_{param.name}"
        elif param.required or params.get(param.name) is not None:
            given = params[param.name]
            number = float(given) if given == "inf" else given
            space[f"p_{param.name}"] = _subscript(given) if param.kind in INDICES else number
            prefix = "" if param.required else f"{param.name}="
            texts.append(f", {prefix}p_{param.name}")
    space |= {f"x{position}": operand for position, operand in enumerate(operands)}
    names = [f"x{position}" for position in range(len(operands))]
    text = template.format(*names, p="".join(texts), **placed)
    text = text.replace("(, ", "(").replace("[, ", "[")
    text = text.replace("vector_norm(x0, p=", "vector_norm(x0, ord=")
    return eval(_compiled(text), space)


def _filling(row: Row, operands: list[Any], params: Mapping[str, Any]) -> Any:
    if row.writes_out:
        return _spelled(TABLE[row.name.removesuffix(SUFFIX)], "function", operands[1:], params)
    if row.name in FOREGONE:
        return torch.full_like(operands[0], params.get("at", 1.0))
    return _spelled(row, "", operands, params)


def _subscript(index: list[Any]) -> tuple[Any, ...]:
    return tuple(
        ... if item == "..." else slice(*item) if isinstance(item, list) else item for item in index
    )


# -- the walk -------------------------------------------------------------------------------------


@dataclass(slots=True)
class Walk:
    tensors: dict[str, _Tensor] = field(default_factory=dict)
    variables: dict[str, list[_Variable]] = field(default_factory=dict)
    """Leaf -> what it was each time that it began to require grad."""
    silent: set[str] = field(default_factory=set)
    """Leaves that have ceased to require grad: what arrives at them is dropped."""
    gradients: dict[str, torch.Tensor] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    """Whose gradients calls were asked for, though they are no leaves."""

    def leaf(self, leaf: Leaf) -> None:
        flat = torch.tensor(materialise(leaf.data, leaf.shape, leaf.dtype, leaf.name)).reshape(-1)
        places = _numbered(flat.numel())[:-1].reshape(leaf.shape)
        self.tensors[leaf.name] = self.stored(leaf.name, flat, places)
        self.variables[leaf.name] = []
        if leaf.requires_grad:
            self.vary(self.tensors[leaf.name])

    def stored(self, name: str, flat: torch.Tensor, places: torch.Tensor) -> _Tensor:
        history = _History(flat, [], flat.requires_grad, flat)
        history.family.append(history)
        return _Tensor(name, history, places)

    def vary(self, tensor: _Tensor) -> None:
        """Let a tensor be a leaf that requires grad from here on."""
        flat = tensor.history.value.requires_grad_()
        earlier = self.variables.setdefault(tensor.name, [])
        earlier.append(_Variable(flat, tensor.places))
        self.silent.discard(tensor.name)

    def read(self, tensor: _Tensor, places: torch.Tensor | None = None) -> torch.Tensor:
        """The elements now; at some of the tensor's places only, if these are given."""
        if torch.is_grad_enabled():
            if tensor.left and tensor.unread:
                raise Unsupported("a view was written, and then its base began another history")
            tensor.unread = tensor.unread and not tensor.history.value.requires_grad
        value = tensor.history.value.detach() if tensor.mute else tensor.history.value
        return torch.take(value, tensor.places if places is None else places)

    def step(self, step: Apply | Backward) -> None:
        if isinstance(step, Backward):
            self.backward(step)
            return
        row, in_place = OPERATIONS[step.op]
        if row.name == "data":
            raise Unsupported("`.data` hides a write from everything")
        if row.outside_the_law:
            raise Unsupported(f"`{step.op}` means nothing for a value")
        records = recording(step.modes)
        if in_place and row.relabels:
            self.relabel(step, row)
        elif in_place and row.moves:
            self.move(step, row)
        elif in_place:
            if not row.inert:
                self._write(step, row, records=records)
        elif row.name == "detach":
            self.part(step)
        elif row.kind == "fresh" or not self.viewed(step, row, records=records):
            self._compute(step, row, records=records)

    def _others(self, given: tuple[Argument, ...]) -> list[Any]:
        return [self.read(self.tensors[g]) if isinstance(g, str) else float(g) for g in given]

    def _compute(self, step: Apply, row: Row, *, records: bool) -> None:
        """A result with a storage of its own, laid out as torch lays it out."""
        (name,) = step.to
        with torch.no_grad():
            shown = [self._shown(g) if isinstance(g, str) else float(g) for g in step.args]
            model = _spelled(row, step.via, shown, step.params)
        with torch.set_grad_enabled(records):
            operands = self._others(step.args)
            own = OWN.get(row.name)
            result = own(*operands) if own else _spelled(row, step.via, operands, step.params)
            count = model.untyped_storage().nbytes() // model.element_size()
            where = (model.shape, model.stride(), model.storage_offset())
            places = _numbered(count).as_strided(*where)
            flat = torch.zeros(count, dtype=result.dtype).put(places, result)
        self.tensors[name] = self.stored(name, flat, places)

    def _shown(self, name: str) -> torch.Tensor:
        """The tensor as it would really lie in memory, for torch to see its strides."""
        tensor = self.tensors[name]
        where = (tensor.places.shape, tensor.places.stride(), tensor.places.storage_offset())
        return tensor.history.value.detach().as_strided(*where)

    def viewed(self, step: Apply, row: Row, *, records: bool) -> bool:
        """Bind the views that the step makes; False if it makes none but copies."""
        source = self.tensors[str(step.args[0])]
        made = _spelled(row, step.via, [source.places], step.params)
        parts = made if isinstance(made, (tuple, list)) else (made,)
        if len({part.untyped_storage().data_ptr() for part in (source.places, *parts)}) > 1:
            return False
        for name, part in zip(step.to, parts, strict=True):
            mute, base = source.mute or not records, source.base or source
            view = _Tensor(name, source.history, part, mute, base)
            self.tensors[name] = source if part is source.places else view
        return True

    def part(self, step: Apply) -> None:
        """`detach()`: the same memory, and a history that begins here."""
        source = self.tensors[str(step.args[0])]
        name = step.to[0]
        self.tensors[name] = _Tensor(name, self._began(source), source.places)

    def _began(self, source: _Tensor) -> _History:
        """A new history of a tensor's storage, without a derivative."""
        family = source.history.family
        family.append(_History(source.history.value.detach(), family))
        return family[-1]

    def relabel(self, step: Apply, row: Row) -> None:
        """`requires_grad_()` or `detach_()`: values stay, and a leaf goes on by itself."""
        tensor = self.tensors[str(step.args[0])]
        wants = row.name == "requires_grad" and step.params.get("requires_grad", True)
        if row.name == "detach" and inferring(step.modes):
            return  # There is no history in inference mode, and none that could end.
        if wants == tensor.history.value.requires_grad or (tensor.base is not None and not wants):
            return
        if wants and tensor.places.unique().numel() < tensor.places.numel():
            raise Unsupported("a leaf whose elements share cells")
        if wants and any(
            v.base is tensor and self.variables.get(v.name) for v in self.tensors.values()
        ):
            raise Unsupported("a leaf of which a view is another leaf")
        tensor.history = self._began(tensor)
        for view in self.tensors.values():
            # A view that was written before looks for its base again, once that has a gradient.
            if view.base is tensor and (view.mute or (wants and view.unread)):
                view.history = tensor.history
        if wants:
            tensor.mute = False
            self.vary(tensor)
        else:
            self.silent.add(tensor.name)

    def move(self, step: Apply, row: Row) -> None:
        """A change of shape: the tensor is another view of its storage."""
        tensor = self.tensors[str(step.args[0])]
        tensor.places = _spelled(row, "", [tensor.places], step.params)
        if not tensor.history.computed:
            # Its gradient will have the shape that it has; graphs that hold it already are none
            # of the programs that are asked for.
            for variable in self.variables.get(tensor.name, []):
                variable.places = tensor.places
        self._settle(tensor.history.family)

    def _settle(self, family: list[_History]) -> None:
        """After a write all views are views of what their bases are now."""
        for tensor in self.tensors.values():
            if tensor.base is None or tensor.history.family is not family:
                continue
            # A view that is a leaf of its own stays one until its base has a derivative.
            if not self.variables.get(tensor.name) or tensor.base.history.value.requires_grad:
                tensor.history, tensor.unread = tensor.base.history, True

    def _write(self, step: Apply, row: Row, *, records: bool) -> None:
        """New values for all who share the storage; the writer's derivative too, if recorded."""
        target = self.tensors[str(step.args[0])]
        writer = target.history
        if records and target.mute and writer.value.requires_grad:
            raise Unsupported("a recorded write through a view made in no_grad")
        if records and target.left:
            raise Unsupported("a recorded write through a view that its base has left behind")
        places = target.places
        if row.name == "setitem":
            places = places[_subscript(step.params["index"])]
        elif row.name == "fill_diagonal":
            places = diagonal_of(places, wrap=step.params.get("wrap", False))
        with torch.set_grad_enabled(records):
            operands = [self.read(target, places), *self._others(step.args[1:])]
            own = OWN.get(row.name)
            new = own(*operands) if own else _filling(row, operands, step.params)
            if new.dtype == torch.bool:
                new = _without_slope(new.double(), operands)
        for history in writer.family:
            if records and history is writer:
                history.value = history.value.put(places, new)
                history.computed = history.value.requires_grad
                history.recorded = history.value
            else:
                written = history.value.detach().put(places, new.detach())
                history.value = Unrecorded.apply(history.value, written)
        self._settle(writer.family)

    def backward(self, step: Backward) -> None:
        """Add to the gradients of the leaves, by the graph as it is now."""
        roots, weights = [], []
        cotangents = step.cotangents or (None,) * len(step.of)
        for name, given in zip(step.of, cotangents, strict=True):
            root = self.read(self.tensors[name])
            if root.requires_grad:
                shape = tuple(root.shape)
                data: Data = [1.0] if given is None else given
                roots.append(root)
                weights.append(torch.tensor(materialise(data, shape, "float64", name)))
        names = [n for n in step.inputs or self.variables if n not in self.silent]
        variables = [(name, each) for name in names for each in self._variables(name, step)]
        if not roots or not variables:
            return
        flats = [each.flat for _, each in variables]
        found = torch.autograd.grad(roots, flats, weights, retain_graph=True, allow_unused=True)
        for (name, variable), flat in zip(variables, found, strict=True):
            if flat is not None:
                gradient = torch.take(flat, variable.places)
                before = self.gradients.get(name)
                self.gradients[name] = gradient if before is None else before + gradient

    def _variables(self, name: str, step: Backward) -> list[_Variable]:
        """What a gradient is sought of: of what is no leaf, as it was last computed."""
        tensor = self.tensors[name]
        if step.inputs and tensor.base is not None and not self.variables.get(name):
            raise Untold("the gradient of a view")
        if not step.inputs or not tensor.history.computed:
            return self.variables.get(name, [])
        assert tensor.history.recorded is not None
        self.asked.add(name)
        return [_Variable(tensor.history.recorded, tensor.places)]


def run(program: Program) -> Outcome:
    """Every tensor's value at the end, and the gradient at each leaf that requires grad.

    The program must be legal and raise nothing. Raises Unsupported for what has no meaning without
    mutation.
    """
    walk = Walk()
    for leaf in program.leaves:
        walk.leaf(leaf)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in program.steps:
            walk.step(step)
    with torch.no_grad():
        values = {name: _array(walk.read(tensor)) for name, tensor in walk.tensors.items()}
    gradients = {
        name: _array(walk.gradients[name]) if name in walk.gradients else None
        for name in {**walk.variables, **dict.fromkeys(sorted(walk.asked))}
        if name in walk.asked or not walk.tensors[name].history.computed
    }
    return Outcome(values, gradients)


def _array(tensor: torch.Tensor) -> Floats:
    return np.asarray(tensor.detach().numpy(), np.float64)
