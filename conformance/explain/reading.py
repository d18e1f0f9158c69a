"""A whole script read statement by statement: what each does to memory, as far as it can be told.

A script is text of ours: Python that calls torch. Nothing is run. What a statement does follows
from the op table and from how torch names things; one that cannot be read says so, and what it may
have written or shared is drawn no longer.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from conformance._trace_schema import Trace, TraceStep
from conformance.explain import script_names as names
from conformance.explain.script_memory import Hidden, Memory, Refused, Thing

_NO_MORE = "what it may write or share is drawn no longer: {}"


class Unread(Exception):
    """A statement that cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of torch.nn: its name, and whether it was made with `inplace=True`."""

    name: str
    inplace: bool


Value = Thing | Hidden | Layer | None
"""What an expression gives: a tensor, drawn or not, a layer, or what shares no memory (None)."""


def trace_of_script(body: str) -> Trace | None:
    """The statements of a script, each with the memory that it changed; None if none can be read.

    Raises SyntaxError if it is not Python.
    """
    reader = _Reader(body)
    reader.block(ast.parse(body).body)
    if not any(step.storages for step in reader.steps):
        return None
    *steps, last = reader.steps
    code = "\n".join([last.code, *reader.opening])
    return Trace((), (), (*steps, replace(last, code=code)))


@dataclass(slots=True)
class _Reader:
    """Reads statements in order, and keeps what is known of memory and of layers."""

    body: str
    memory: Memory = field(default_factory=Memory)
    layers: dict[str, Layer] = field(default_factory=dict)
    defined: dict[str, set[str]] = field(default_factory=dict)
    """Function or class of the script -> the names that it mentions."""
    steps: list[TraceStep] = field(default_factory=list)
    opening: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    over: bool = False
    """Whether a statement must have raised outside of `try`."""

    # -- statements

    def block(self, statements: Sequence[ast.stmt]) -> None:
        """Read statements, those inside of regions of torch and of `try` as well."""
        for statement in statements:
            if isinstance(statement, ast.With) and (modes := _modes(statement)):
                self._region(statement, modes)
            elif isinstance(statement, ast.Try) and not self.over:
                self._attempt(statement)
            else:
                self._step(statement)

    def _region(self, region: ast.With, modes: list[str]) -> None:
        self.opening.append(self._first_line(region))
        self.memory.modes += modes
        self.block(region.body)
        del self.memory.modes[-len(modes) :]

    def _attempt(self, attempt: ast.Try) -> None:
        """A single statement that may raise, where the handlers note it; else it is not read."""
        noted = all(_only_notes(one) for handler in attempt.handlers for one in handler.body)
        if len(attempt.body) > 2 or not noted or attempt.finalbody or attempt.orelse:
            self._step(attempt)
            return
        self.opening.append(f"{' ' * attempt.col_offset}try:")
        for statement in attempt.body:
            self._step(statement, tried=True)
        for handler in attempt.handlers:
            self.opening += [line.rstrip() for line in self._text(handler).splitlines()]
        self.over = False

    def _step(self, statement: ast.stmt, *, tried: bool = False) -> None:
        opening, self.opening, self.notes = tuple(self.opening), [], []
        code, number = self._text(statement), len(self.steps) + 1
        if self.over:
            self.steps.append(TraceStep(number, code, opening, reached=False))
            return
        raises = False
        try:
            self._statement(statement)
        except Unread as why:
            self._leave_out(statement, str(why))
        except Refused as why:
            raises = self.over = True
            self.notes.append(f"{why}, which torch refuses")
            if tried:
                self.notes.append("the script catches the error")
        else:
            if tried:
                self.notes.append("drawn as if it raised nothing")
        step = TraceStep(
            number,
            code,
            opening,
            tuple(self.notes),
            raises=raises,
            storages=self.memory.changed(),
        )
        self.steps.append(step)

    def _leave_out(self, statement: ast.stmt, why: str) -> None:
        """Whatever it names may be written, shared or bound anew."""
        self.notes = [f"not read: {why}"]
        mentioned = self._mentioned(statement)
        things = [thing for name, thing in self.memory.names.items() if name in mentioned]
        for name in mentioned & self.memory.hidden.keys():
            things += self.memory.hidden[name].near
        gone = self.memory.forget(things)
        if gone:
            self.notes.append(_NO_MORE.format(", ".join(gone)))
        bound = {
            one.id
            for one in ast.walk(statement)
            if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
        }
        for name in (*gone, *bound):
            self.layers.pop(name, None)
            self.memory.names.pop(name, None)
            self.memory.hidden[name] = Hidden()

    def _mentioned(self, statement: ast.stmt) -> set[str]:
        """The names that it mentions, and those that functions mention which it mentions."""
        found, new = set[str](), _names_in(statement)
        while new:
            found |= new
            new = set[str]().union(*(self.defined.get(name, ()) for name in new)) - found
        return found

    def _statement(self, statement: ast.stmt) -> None:
        match statement:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                self.defined[name] = _names_in(statement)
                self.notes.append("a definition: nothing happens yet")
            case ast.Import() | ast.ImportFrom() | ast.Pass():
                pass
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._bind(name, self._value(value))
            case ast.Assign(targets=[ast.Subscript() as place], value=value):
                self._store(place, value)
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=name), attr=attribute)]):
                self._set(name, attribute, statement.value)
            case ast.AugAssign(target=target, op=op, value=value):
                self._augment(target, op, value)
            case ast.Expr(value=value):
                self._value(value)
            case ast.If() | ast.For() | ast.While():
                raise Unread("how often its lines run is known only when they do")
            case _:
                raise Unread("statements of this kind are not read")

    def _bind(self, name: str, value: Value) -> None:
        self.layers.pop(name, None)
        self.memory.hidden.pop(name, None)
        if isinstance(value, Thing):
            self.memory.names[name] = value
            return
        if self.memory.names.pop(name, None) is not None:
            self.notes.append(f"{name} is bound anew")
        if isinstance(value, Layer):
            self.layers[name] = value
        elif isinstance(value, Hidden):
            self.memory.hidden[name] = value

    def _store(self, place: ast.Subscript, value: ast.expr) -> None:
        target = self._value(place.value)
        given = self._value(value)
        self._value(place.slice)
        if isinstance(target, Thing | Hidden):
            self._write(target, [given], self._text(place))

    def _set(self, name: str, attribute: str, value: ast.expr) -> None:
        target = self.memory.names.get(name)
        if target is None:
            self._value(value)
        elif attribute == "requires_grad" and isinstance(value, ast.Constant):
            target.requires_grad = bool(value.value)
        elif attribute == "grad":
            self._value(value)
        else:
            raise Unread(f"it assigns to .{attribute}")

    def _augment(self, target: ast.expr, op: ast.operator, value: ast.expr) -> None:
        symbol = _SYMBOLS.get(type(op), "")
        given = self._value(value)
        if isinstance(target, ast.Subscript):
            whole = self._value(target.value)
            if isinstance(whole, Hidden):
                raise Unread("it writes what is not drawn")
            if isinstance(whole, Thing):
                # It writes the part, and stores what that gives: two writes.
                part = self.memory.alias(whole, "view")
                self._write(part, [given], self._text(target))
                self._write(whole, [part], self._text(target))
            return
        if not isinstance(target, ast.Name):
            raise Unread("it writes through an attribute")
        old = self._value(target)
        if not isinstance(old, Thing | Hidden):
            return
        if names.augmented(symbol):
            self._write(old, [given], target.id)
        else:
            self.notes.append(f"{symbol}= has no in-place form: it binds a new tensor")
            self._bind(target.id, self._result([old, given]))

    def _result(self, operands: Sequence[Value], *, differentiable: bool = True) -> Value:
        """What an operation gives in memory of its own, drawn if its operands are."""
        if any(isinstance(one, Hidden) for one in operands):
            return Hidden()
        given = [one for one in operands if isinstance(one, Thing)]
        return self.memory.result(given, differentiable=differentiable)

    def _write(self, target: Thing | Hidden, operands: Sequence[Value], what: str) -> None:
        if isinstance(target, Hidden) or any(isinstance(one, Hidden) for one in operands):
            raise Unread("it writes what is not drawn, or reads it")
        given = [one for one in operands if isinstance(one, Thing)]
        self.memory.write(target, given)
        self.notes.append(f"writes {what} in place" + self._counted(target))

    def _counted(self, target: Thing) -> str:
        return "" if target.count.value is not None else ", which has no version"

    # -- expressions

    def _value(self, node: ast.expr) -> Value:
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
        return isinstance(node, ast.Name) and isinstance(self._value(node), Thing | Hidden)

    def _plain(self, node: ast.expr) -> None:
        """What a list holds must be plain, or the list would share its memory unseen."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr) and isinstance(
                self._value(child), Thing | Hidden | Layer
            ):
                raise Unread("it keeps tensors in a list")

    def _operator(self, node: ast.expr) -> Value:
        values = [
            self._value(child)
            for child in ast.iter_child_nodes(node)
            if isinstance(child, ast.expr)
        ]
        given = [value for value in values if isinstance(value, Thing | Hidden)]
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Is | ast.IsNot | ast.In):
            return None
        if not given:
            return None
        if isinstance(node, ast.BoolOp):
            return self._not_drawn("and, or", given)
        return self._result(given, differentiable=not isinstance(node, ast.Compare))

    def _either(self, test: ast.expr, ways: list[ast.expr]) -> Value:
        """What one of two expressions gives, of which neither may write."""
        self._value(test)
        calls = [one.func for way in ways for one in ast.walk(way) if isinstance(one, ast.Call)]
        if any(isinstance(one, ast.Attribute) and one.attr.endswith("_") for one in calls):
            raise Unread("whether it writes is known only when it runs")
        given = [value for way in ways if isinstance(value := self._value(way), Thing | Hidden)]
        return self._not_drawn("if, else", given) if given else None

    def _attribute(self, node: ast.Attribute) -> Value:
        of = self._value(node.value)
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
        return self._not_drawn(f".{node.attr}", [of])

    def _item(self, node: ast.Subscript) -> Value:
        if isinstance(node.value, ast.List) and isinstance(node.slice, ast.Constant):
            values = [self._value(one) for one in node.value.elts]
            return values[int(node.slice.value)]  # type: ignore[arg-type]
        of = self._value(node.value)
        index = self._value(node.slice) if not isinstance(node.slice, ast.Tuple) else None
        if not isinstance(of, Thing):
            return of
        if _basic(node.slice):
            return self.memory.alias(of, "view")
        return self._result([of, index]) if index is not None else self._not_drawn("[...]", [of])

    def _not_drawn(self, what: str, operands: Sequence[Value]) -> Hidden:
        self.notes.append(f"what {what} gives is not drawn: it may share memory")
        near = [one.near if isinstance(one, Hidden) else (one,) for one in operands if one]
        return Hidden(tuple(one for some in near for one in some if isinstance(one, Thing)))

    # -- calls

    def _call(self, node: ast.Call) -> Value:
        function = node.func
        keywords = {one.arg: one.value for one in node.keywords if one.arg}
        if isinstance(function, ast.Attribute):
            dotted = _dotted(function)
            if dotted.startswith("nn."):
                return Layer(dotted, _is_true(keywords.get("inplace")))
            if dotted.startswith(("torch.", "F.")):
                return self._function(dotted, node, keywords)
            return self._method(function, node, keywords)
        if isinstance(function, ast.Name) and function.id in names.HARMLESS:
            for argument in (*node.args, *keywords.values()):
                self._looked_at(argument)
            return None
        layer = self._value(function) if not isinstance(function, ast.Lambda) else None
        if isinstance(layer, Layer):
            return self._layer(layer, node)
        raise Unread("it calls what the op table does not know")

    def _looked_at(self, node: ast.expr) -> None:
        if isinstance(node, ast.GeneratorExp | ast.ListComp | ast.Lambda):
            raise Unread("an expression of this kind is not read")
        self._value(node)

    def _layer(self, layer: Layer, node: ast.Call) -> Value:
        given = [self._value(argument) for argument in node.args]
        return self._apply(layer.name, given, layer.inplace, self._text(node.func))

    def _function(self, dotted: str, node: ast.Call, keywords: dict[str, ast.expr]) -> Value:
        space, _, name = dotted.rpartition(".")
        given = [self._value(argument) for argument in node.args]
        given += [self._value(value) for key, value in keywords.items() if key != "out"]
        if space == "torch" and name in names.MADE:
            made = self.memory.fresh(
                leaf=True, requires_grad=_is_true(keywords.get("requires_grad"))
            )
            made.turned = "dtype" in keywords and ".complex" in self._text(keywords["dtype"])
            return made
        if "out" in keywords:
            target = self._value(keywords["out"])
            if not isinstance(target, Thing):
                raise Unread("it writes into what is not drawn")
            if any(isinstance(one, Thing) and one.requires_grad for one in (target, *given)):
                raise Unread("what `out=` does where a gradient is wanted is not read")
            self._write(target, given, self._text(keywords["out"]))
            return target
        if dotted == "torch.manual_seed":
            return None
        return self._apply(dotted, given, _is_true(keywords.get("inplace")), dotted)

    def _method(
        self, function: ast.Attribute, node: ast.Call, keywords: dict[str, ast.expr]
    ) -> Value:
        of, name = self._value(function.value), function.attr
        if isinstance(of, Layer):
            return of
        if isinstance(of, Hidden) and name in names.READ:
            return None
        given = [self._value(argument) for argument in (*node.args, *keywords.values())]
        if isinstance(of, Hidden):
            if names.writes_by_name(name):
                raise Unread("it writes what is not drawn")
            return Hidden((*of.near, *(one for one in given if isinstance(one, Thing))))
        if of is None:
            if any(isinstance(one, Thing | Hidden) for one in given):
                raise Unread(f"it calls .{name}() of what is not drawn")
            return None
        if name == "requires_grad_":
            of.requires_grad = not node.args or _is_true(node.args[0])
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
            wants = _is_true(keywords.get("requires_grad"))
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
            self._write(target, operands[1:], self._name_of(target))
            return target
        if what == "view" and isinstance(target, Thing):
            return self.memory.alias(target, "view")
        if what == "fresh" and operands:
            made = self._result(operands, differentiable=differentiable)
            if isinstance(made, Thing) and name.rpartition(".")[2] in names.UNTURNED:
                made.turned = False
            return made
        if operands and (inplace or names.writes_by_name(name)):
            raise Unread(f"what {said} does to its memory is not in the op table")
        return self._not_drawn(said, operands) if operands else None

    def _name_of(self, thing: Thing) -> str:
        found = [name for name, one in self.memory.names.items() if one is thing]
        return found[0] if found else "a tensor without a name"

    # -- text

    def _text(self, node: ast.AST) -> str:
        """The text of a node; that of a statement stands as far to the right as in the script."""
        text = ast.get_source_segment(self.body, node) or ast.unparse(node)
        return " " * node.col_offset + text if isinstance(node, ast.stmt) else text

    def _first_line(self, node: ast.AST) -> str:
        return self._text(node).splitlines()[0]


_SYMBOLS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.MatMult: "@",
}


def _names_in(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def _modes(region: ast.With) -> list[str]:
    """What its items leave of grad mode; empty if one of them is no region of torch."""
    found = [_mode_of(item.context_expr) for item in region.items]
    return [] if "" in found else found


def _mode_of(node: ast.expr) -> str:
    if not isinstance(node, ast.Call):
        return ""
    space, _, name = _dotted(node.func).rpartition(".")
    if space != "torch":
        return ""
    if name == "set_grad_enabled" and node.args:
        return "on" if _is_true(node.args[0]) else "off"
    return names.REGIONS.get(name, "") if not node.args else ""


def _dotted(node: ast.expr) -> str:
    """`torch.nn.relu` of the attributes that spell it; empty if something else does."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    return ".".join([node.id, *parts]) if isinstance(node, ast.Name) else ""


def _is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _basic(index: ast.expr) -> bool:
    """Whether an index gives a view: numbers, slices, `...` and None."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    return all(isinstance(one, ast.Slice | ast.Constant | ast.UnaryOp) for one in parts)


def _only_notes(statement: ast.stmt) -> bool:
    """Whether a handler's line only notes what was said."""
    if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Subscript):
        return False
    target = statement.targets[0].value
    return isinstance(target, ast.Name) and target.id == "facts"
