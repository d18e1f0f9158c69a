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
from conformance.explain.script_memory import Hidden, Refused, Thing
from conformance.explain.script_values import (
    Expressions,
    Layer,
    Unread,
    Value,
    dotted,
    is_true,
)

_NO_MORE = "what it may write or share is drawn no longer: {}"


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
class _Reader(Expressions):
    """Reads statements in order."""

    defined: dict[str, set[str]] = field(default_factory=dict)
    """Function or class of the script -> the names that it mentions."""
    steps: list[TraceStep] = field(default_factory=list)
    opening: list[str] = field(default_factory=list)
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
        self.opening.append(self.first_line(region))
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
            self.opening += [line.rstrip() for line in self.text(handler).splitlines()]
        self.over = False

    def _step(self, statement: ast.stmt, *, tried: bool = False) -> None:
        opening, self.opening, self.notes = tuple(self.opening), [], []
        code, number = self.text(statement), len(self.steps) + 1
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
                self._bind(name, self.value(value))
            case ast.Assign(targets=[ast.Subscript() as place], value=value):
                self._store(place, value)
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=name), attr=attribute)]):
                self._set(name, attribute, statement.value)
            case ast.AugAssign(target=target, op=op, value=value):
                self._augment(target, op, value)
            case ast.Expr(value=value):
                self.value(value)
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
        target = self.value(place.value)
        given = self.value(value)
        self.value(place.slice)
        if isinstance(target, Thing | Hidden):
            self.write(target, [given], self.text(place))

    def _set(self, name: str, attribute: str, value: ast.expr) -> None:
        target = self.memory.names.get(name)
        if target is None:
            self.value(value)
        elif attribute == "requires_grad" and isinstance(value, ast.Constant):
            target.requires_grad = bool(value.value)
        elif attribute == "grad":
            self.value(value)
        else:
            raise Unread(f"it assigns to .{attribute}")

    def _augment(self, target: ast.expr, op: ast.operator, value: ast.expr) -> None:
        symbol = _SYMBOLS.get(type(op), "")
        given = self.value(value)
        if isinstance(target, ast.Subscript):
            whole = self.value(target.value)
            if isinstance(whole, Hidden):
                raise Unread("it writes what is not drawn")
            if isinstance(whole, Thing):
                # It writes the part, and stores what that gives: two writes.
                part = self.memory.alias(whole, "view")
                self.write(part, [given], self.text(target))
                self.write(whole, [part], self.text(target))
            return
        if not isinstance(target, ast.Name):
            raise Unread("it writes through an attribute")
        old = self.value(target)
        if not isinstance(old, Thing | Hidden):
            return
        if names.augmented(symbol):
            self.write(old, [given], target.id)
        else:
            self.notes.append(f"{symbol}= has no in-place form: it binds a new tensor")
            self._bind(target.id, self.result([old, given]))


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
    space, _, name = dotted(node.func).rpartition(".")
    if space != "torch":
        return ""
    if name == "set_grad_enabled" and node.args:
        return "on" if is_true(node.args[0]) else "off"
    return names.REGIONS.get(name, "") if not node.args else ""


def _only_notes(statement: ast.stmt) -> bool:
    """Whether a handler's line only notes what was said."""
    if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Subscript):
        return False
    target = statement.targets[0].value
    return isinstance(target, ast.Name) and target.id == "facts"
