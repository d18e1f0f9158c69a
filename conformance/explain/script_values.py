"""The expressions of a whole script: what each gives, and what memory it makes, shares, writes."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field

from conformance.explain import script_names as names
from conformance.explain.script_memory import Hidden, Memory, Refused, Thing


class Unread(Exception):
    """A statement that cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of torch.nn: its name, and whether it was made with `inplace=True`."""

    name: str
    inplace: bool


Value = Thing | Hidden | Layer | None
"""What an expression gives: a tensor, drawn or not, a layer, or what shares no memory (None)."""


@dataclass(slots=True)
class Expressions:
    """Reads the expressions of a body, and keeps what is known of memory and of layers.

    `notes` are what is to be said of the statement that is being read.
    """

    body: str
    memory: Memory = field(default_factory=Memory)
    layers: dict[str, Layer] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def value(self, node: ast.expr) -> Value:
        """What an expression gives, after all that it does; raises Unread, or Refused."""
        match node:
            case ast.Name(id=name):
                known = self.memory.names.get(name) or self.memory.hidden.get(name)
                return known or self.layers.get(name)
            case ast.Constant() | ast.JoinedStr():
                return None
            case ast.List() | ast.Tuple() | ast.Dict() | ast.Set() | ast.Slice() | ast.Starred():
                self._plain(node)
                return None
            case ast.BinOp() | ast.UnaryOp() | ast.Compare() | ast.BoolOp():
                return self._operator(node)
            case ast.Attribute():
                return self._attribute(node)
            case ast.Subscript():
                return self._item(node)
            case ast.Call():
                return self._call(node)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._either(test, [body, orelse])
            case _:
                if any(self._tensor(n) for n in ast.walk(node)):
                    raise Unread("an expression of this kind is not read")
                return None

    def _tensor(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and isinstance(self.value(node), Thing | Hidden)

    def _plain(self, node: ast.expr) -> None:
        """What a list holds must be plain, or the list would share its memory unseen."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr) and isinstance(
                self.value(child), Thing | Hidden | Layer
            ):
                raise Unread("it keeps tensors in a list")

    def _operator(self, node: ast.expr) -> Value:
        values = [
            self.value(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)
        ]
        given = [value for value in values if isinstance(value, Thing | Hidden)]
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Is | ast.IsNot | ast.In):
            return None
        if not given:
            return None
        if isinstance(node, ast.BoolOp):
            return self.not_drawn("and, or", given)
        return self.result(given, differentiable=not isinstance(node, ast.Compare))

    def _either(self, test: ast.expr, ways: list[ast.expr]) -> Value:
        """What one of two expressions gives, of which neither may write."""
        self.value(test)
        calls = [one.func for way in ways for one in ast.walk(way) if isinstance(one, ast.Call)]
        if any(isinstance(one, ast.Attribute) and one.attr.endswith("_") for one in calls):
            raise Unread("whether it writes is known only when it runs")
        given = [value for way in ways if isinstance(value := self.value(way), Thing | Hidden)]
        return self.not_drawn("if, else", given) if given else None

    def _attribute(self, node: ast.Attribute) -> Value:
        of = self.value(node.value)
        if not isinstance(of, Thing | Hidden) or node.attr in names.FACTS:
            return None
        if node.attr == "grad":
            return Hidden()
        if isinstance(of, Hidden):
            return of
        if node.attr == "data":
            return self.memory.alias(of, ".data alias")
        if node.attr in names.VIEWS or (node.attr == "real" and of.turned):
            view = self.memory.alias(of, "view")
            view.turned = of.turned and node.attr not in names.UNTURNED
            return view
        return self.not_drawn(f".{node.attr}", [of])

    def _item(self, node: ast.Subscript) -> Value:
        if isinstance(node.value, ast.List) and isinstance(node.slice, ast.Constant):
            values = [self.value(one) for one in node.value.elts]
            return values[int(node.slice.value)]  # type: ignore[arg-type]
        of = self.value(node.value)
        index = self.value(node.slice) if not isinstance(node.slice, ast.Tuple) else None
        if not isinstance(of, Thing):
            return of
        if _basic(node.slice):
            return self.memory.alias(of, "view")
        return self.result([of, index]) if index is not None else self.not_drawn("[...]", [of])

    def not_drawn(self, what: str, operands: Sequence[Value]) -> Hidden:
        """A tensor that may share the memory of the operands, and a note that says so."""
        self.notes.append(f"what {what} gives is not drawn: it may share memory")
        near = [one.near if isinstance(one, Hidden) else (one,) for one in operands if one]
        return Hidden(tuple(one for some in near for one in some if isinstance(one, Thing)))

    # -- calls

    def _call(self, node: ast.Call) -> Value:
        function = node.func
        keywords = {one.arg: one.value for one in node.keywords if one.arg}
        if isinstance(function, ast.Attribute):
            name = dotted(function)
            if name.startswith("nn."):
                return Layer(name, is_true(keywords.get("inplace")))
            if name.startswith(("torch.", "F.")):
                return self._function(name, node, keywords)
            return self._method(function, node, keywords)
        if isinstance(function, ast.Name) and function.id in names.HARMLESS:
            for argument in (*node.args, *keywords.values()):
                self._looked_at(argument)
            return None
        layer = self.value(function) if not isinstance(function, ast.Lambda) else None
        if isinstance(layer, Layer):
            return self._layer(layer, node)
        raise Unread("it calls what the op table does not know")

    def _looked_at(self, node: ast.expr) -> None:
        if isinstance(node, ast.GeneratorExp | ast.ListComp | ast.Lambda):
            raise Unread("an expression of this kind is not read")
        self.value(node)

    def _layer(self, layer: Layer, node: ast.Call) -> Value:
        given = [self.value(argument) for argument in node.args]
        return self._apply(layer.name, given, layer.inplace, self.text(node.func))

    def _function(self, full: str, node: ast.Call, keywords: dict[str, ast.expr]) -> Value:
        space, _, name = full.rpartition(".")
        given = [self.value(argument) for argument in node.args]
        given += [self.value(value) for key, value in keywords.items() if key != "out"]
        if space == "torch" and name in names.MADE:
            made = self.memory.fresh(
                leaf=True, requires_grad=is_true(keywords.get("requires_grad"))
            )
            made.turned = "dtype" in keywords and ".complex" in self.text(keywords["dtype"])
            return made
        if "out" in keywords:
            target = self.value(keywords["out"])
            if not isinstance(target, Thing):
                raise Unread("it writes into what is not drawn")
            if any(isinstance(one, Thing) and one.requires_grad for one in (target, *given)):
                raise Unread("what `out=` does where a gradient is wanted is not read")
            self.write(target, given, self.text(keywords["out"]))
            return target
        if full == "torch.manual_seed":
            return None
        return self._apply(full, given, is_true(keywords.get("inplace")), full)

    def _method(
        self, function: ast.Attribute, node: ast.Call, keywords: dict[str, ast.expr]
    ) -> Value:
        of, name = self.value(function.value), function.attr
        if isinstance(of, Layer):
            return of
        if isinstance(of, Hidden) and name in names.READ:
            return None
        given = [self.value(argument) for argument in (*node.args, *keywords.values())]
        if isinstance(of, Hidden):
            if names.writes_by_name(name):
                raise Unread("it writes what is not drawn")
            return Hidden((*of.near, *(one for one in given if isinstance(one, Thing))))
        if of is None:
            if any(isinstance(one, Thing | Hidden) for one in given):
                raise Unread(f"it calls .{name}() of what is not drawn")
            return None
        if name == "requires_grad_":
            of.requires_grad = not node.args or is_true(node.args[0])
            of.how = "leaf" if of.how == "new memory" and of.is_leaf else of.how
            return of
        if name == "detach":
            return self.memory.alias(of, "detached alias")
        if name == "backward":
            self._backward(of)
            return None
        if name in names.READ:
            return None
        if name.startswith("new_") and name[4:] in names.MADE:
            wants = is_true(keywords.get("requires_grad"))
            return self.memory.fresh(leaf=True, requires_grad=wants)
        return self._apply(f"Tensor.{name}", [of, *given], False, f".{name}()")

    def _backward(self, root: Thing) -> None:
        if not root.requires_grad:
            raise Refused("nothing that it was computed of requires grad")
        self.notes.append("backward: the path of the gradient is not read")

    def _apply(self, name: str, given: list[Value], inplace: bool, said: str) -> Value:
        operands = [one for one in given if isinstance(one, Thing | Hidden)]
        what, differentiable = names.does(name, inplace=inplace)
        target = given[0] if given else None
        if what == "writes":
            if not isinstance(target, Thing):
                raise Unread("it writes what is not drawn")
            self.write(target, operands[1:], self._name_of(target))
            return target
        if what == "view" and isinstance(target, Thing):
            return self.memory.alias(target, "view")
        if what == "fresh" and operands:
            made = self.result(operands, differentiable=differentiable)
            if isinstance(made, Thing) and name.rpartition(".")[2] in names.UNTURNED:
                made.turned = False
            return made
        if operands and (inplace or names.writes_by_name(name)):
            raise Unread(f"what {said} does to its memory is not in the op table")
        return self.not_drawn(said, operands) if operands else None

    def _name_of(self, thing: Thing) -> str:
        found = [name for name, one in self.memory.names.items() if one is thing]
        return found[0] if found else "a tensor without a name"

    # -- memory

    def result(self, operands: Sequence[Value], *, differentiable: bool = True) -> Value:
        """What an operation gives in memory of its own, drawn if its operands are."""
        if any(isinstance(one, Hidden) for one in operands):
            return Hidden()
        given = [one for one in operands if isinstance(one, Thing)]
        return self.memory.result(given, differentiable=differentiable)

    def write(self, target: Thing | Hidden, operands: Sequence[Value], what: str) -> None:
        """Write in place, and say so; `what` is how the script calls the target."""
        if isinstance(target, Hidden) or any(isinstance(one, Hidden) for one in operands):
            raise Unread("it writes what is not drawn, or reads it")
        given = [one for one in operands if isinstance(one, Thing)]
        self.memory.write(target, given)
        self.notes.append(f"writes {what} in place" + self._counted(target))

    def _counted(self, target: Thing) -> str:
        return "" if target.count.value is not None else ", which has no version"

    # -- text

    def text(self, node: ast.AST) -> str:
        """The text of a node; that of a statement stands as far to the right as in the script."""
        text = ast.get_source_segment(self.body, node) or ast.unparse(node)
        return " " * node.col_offset + text if isinstance(node, ast.stmt) else text

    def first_line(self, node: ast.AST) -> str:
        return self.text(node).splitlines()[0]


def dotted(node: ast.expr) -> str:
    """`torch.nn.relu` of the attributes that spell it; empty if something else does."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    return ".".join([node.id, *parts]) if isinstance(node, ast.Name) else ""


def is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _basic(index: ast.expr) -> bool:
    """Whether an index gives a view: numbers, slices, `...` and None."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    return all(isinstance(one, ast.Slice | ast.Constant | ast.UnaryOp) for one in parts)
