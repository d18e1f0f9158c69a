"""A draft together with what is roughly known of its values; no choice is made here."""

from __future__ import annotations

from dataclasses import dataclass, field

from strategies.choices import Choose
from strategies.draft import Draft, Shaped, Value
from strategies.program import Apply, Backward, Mode, inferring, recording
from strategies.recipe import Recipe

_LIKE_THEIR_OPERAND = frozenset("sqrt rsqrt clone reshape flatten contiguous sum mean".split())


@dataclass(slots=True)
class Root:
    """What is roughly known of a family of tensors that share a history."""

    grad: bool
    leaf: bool
    written: bool = False


@dataclass(slots=True)
class Known:
    """A draft together with rough knowledge of where gradients flow and which values are positive.

    The knowledge steers weights only; it decides nothing about legality.
    """

    choose: Choose
    recipe: Recipe
    draft: Draft = field(default_factory=Draft)
    roots: dict[str, Root] = field(default_factory=dict)
    traits: dict[int, int] = field(default_factory=dict)
    """Memory -> 2 if all values are positive, 1 if none is zero, 0 if nothing is known."""
    modes: tuple[Mode, ...] = ()
    views: set[str] = field(default_factory=set)
    """Names of views, `detach()`ed aliases not among them."""
    inference: set[int] = field(default_factory=set)
    """Memories that came to be in inference mode."""

    def grad(self, value: Value) -> bool:
        return self.roots[value.name].grad

    def floats(self) -> list[Value]:
        return [v for v in self.draft.values.values() if v.dtype == "float64"]

    def held(self) -> set[int]:
        """Memories of which a node keeps what they hold now."""
        found: set[int] = set()
        for step in self.draft.shaped:
            if isinstance(step, Backward):
                continue
            tensors = [o for o in step.operands if isinstance(o, Value)]
            if step.in_place:
                found.discard(tensors[0].memory)
            if not recording(step.step.modes) or not any(self.grad(t) for t in tensors):
                continue
            whats = {save.what for save in step.row.saved(step.in_place)}
            for spec, operand in zip(step.row.operands, step.operands, strict=True):
                written = step.in_place and operand is step.operands[0]
                if isinstance(operand, Value) and spec.name in whats and not written:
                    found.add(operand.memory)
            if "result" in whats:
                found.add(tensors[0].memory if step.in_place else step.results[0].memory)
        return found

    def fresh_name(self) -> str:
        """The name of the next result."""
        return f"x{len(self.draft.values) - len(self.draft.leaves)}"

    def take(self, step: Apply) -> Shaped:
        """Add a step that is not drawn; raises ProgramError if it cannot be."""
        return self._learn(self.draft.add(step))

    def _learn(self, shaped: Shaped) -> Shaped:
        """Update the rough knowledge by a step that was added."""
        tensors = [o for o in shaped.operands if isinstance(o, Value) and o.dtype == "float64"]
        if not tensors or (shaped.in_place and shaped.row.relabels):
            return shaped
        first = tensors[0]
        flows = recording(shaped.step.modes) and any(self.grad(t) for t in tensors)
        trait = self._trait(shaped)
        if shaped.in_place:
            root = self.roots[first.name]
            root.written = True
            if flows:
                root.grad, root.leaf = True, False
            whole = shaped.row.name not in ("setitem", "masked_fill")
            held = self.traits[first.memory]
            full = whole and shaped.target is not None and first.layout.numel >= held
            self.traits[first.memory] = min(held, trait) if held or not full else 0
        for made, value in zip(shaped.made, shaped.results, strict=True):
            if made.how == "fresh":
                if inferring(shaped.step.modes):
                    self.inference.add(value.memory)
                grad = flows and shaped.row.differentiable
                self.roots[value.name] = Root(grad, not grad)
                self.traits[value.memory] = trait
            elif shaped.row.name in ("detach", "data"):
                self.roots[value.name] = Root(False, True)
            else:
                self.roots[value.name] = self.roots[first.name]
                if made.how == "view":
                    self.views.add(value.name)
        return shaped

    def _trait(self, shaped: Shaped) -> int:
        row, known = shaped.row, []
        for operand in shaped.operands:
            if isinstance(operand, Value):
                known.append(self.traits.get(operand.memory, 0))
            else:
                known.append(2 if operand > 0 else 1 if operand else 0)
        if row.gives == "positive":
            return 2
        if row.name in ("mul", "div", "maximum", "minimum"):
            return min(known)
        if row.name in ("add", "addcmul", "lerp"):
            return 2 if min(known) == 2 and not shaped.params.get("alpha", 1) < 0 else 0
        if row.name in ("neg", "reciprocal", "atan", "tanh", "sinh", "expm1", "erf", "square"):
            return min(known[0], 1)
        if row.name in _LIKE_THEIR_OPERAND:
            return known[0]
        if row.name in ("copy", "fill"):
            return known[1]
        return 0
