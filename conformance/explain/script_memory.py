"""The memory of a whole script as far as it can be read: who shares it, and at which version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from conformance._trace_schema import Counter, Name, Relation, Storage

_UNNAMED = "a tensor without a name"


class Refused(Exception):
    """The documented rules refuse a write; the message says why."""


@dataclass(slots=True, eq=False)
class Count:
    """A version counter; None for what has none."""

    value: int | None = 0


@dataclass(slots=True, eq=False)
class Thing:
    """A tensor: its memory and counter, and of what it is a view or an alias, if it is one."""

    memory: int
    count: Count
    how: Relation = "new memory"
    of: Thing | None = None
    requires_grad: bool = False
    is_leaf: bool = True
    turned: bool = False
    """Whether it is known to be complex."""

    @property
    def root(self) -> Thing:
        """What it is a view of, or itself."""
        return self.of.root if self.how == "view" and self.of is not None else self


@dataclass(frozen=True, slots=True)
class Hidden:
    """A tensor that is not drawn, and those whose memory it may share."""

    near: tuple[Thing, ...] = ()


@dataclass(slots=True)
class Memory:
    """All tensors of a script that have names, and those that led to them."""

    names: dict[str, Thing] = field(default_factory=dict)
    hidden: dict[str, Hidden] = field(default_factory=dict)
    modes: list[str] = field(default_factory=list)
    """The regions that are open: `on`, `off`, or `inference`."""
    _made: list[Thing] = field(default_factory=list)
    _shown: dict[int, Storage] = field(default_factory=dict)
    _versions: dict[Count, int | None] = field(default_factory=dict)
    _titles: dict[int, str] = field(default_factory=dict)

    @property
    def records(self) -> bool:
        """Whether operations are recorded."""
        return "inference" not in self.modes and (not self.modes or self.modes[-1] == "on")

    def fresh(self, *, leaf: bool = False, requires_grad: bool = False) -> Thing:
        """A tensor in memory of its own."""
        count = Count(None if "inference" in self.modes else 0)
        how: Relation = "leaf" if leaf else "new memory"
        thing = Thing(len(self._made), count, how, None, requires_grad, leaf or not requires_grad)
        self._made.append(thing)
        return thing

    def result(self, operands: list[Thing], *, differentiable: bool = True) -> Thing:
        """What an operation gives that writes nothing."""
        flows = any(one.requires_grad for one in operands)
        thing = self.fresh(requires_grad=differentiable and self.records and flows)
        thing.turned = differentiable and any(one.turned for one in operands)
        return thing

    def alias(self, of: Thing, how: Relation) -> Thing:
        """A tensor in the memory of another one, with its counter but for `.data`."""
        count = Count() if how == ".data alias" else of.count
        flows = how == "view" and self.records and of.requires_grad
        thing = Thing(of.memory, count, how, of, flows, not flows, of.turned)
        self._made.append(thing)
        return thing

    def write(self, target: Thing, operands: list[Thing]) -> None:
        """Write in place; raises Refused for a leaf that requires grad, and for a view of one."""
        root = target.root
        if self.records:
            for one, said in ((target, "a leaf"), (root, "a view of a leaf")):
                if one.requires_grad and one.is_leaf:
                    raise Refused(f"{said} that requires grad is written while grad mode is on")
            if any(one.requires_grad for one in operands):
                for one in self._made:
                    if one.root is root:
                        one.requires_grad, one.is_leaf = True, False
        if target.count.value is not None:
            target.count.value += 1

    def forget(self, things: list[Thing]) -> list[str]:
        """Draw the memory of these no longer; returns the names that are gone by that."""
        memories = {one.memory for one in things}
        gone = [name for name, one in self.names.items() if one.memory in memories]
        for name in gone:
            del self.names[name]
        return gone

    # -- what is drawn

    def changed(self) -> tuple[Storage, ...]:
        """The memories that are not as they were when this was asked last.

        One without names is drawn no longer.
        """
        now = {storage.id: storage for storage in self._storages()}
        for id, before in self._shown.items():
            if id not in now and before.names:
                now[id] = Storage(id, before.title, (), ())
        found = tuple(one for id, one in now.items() if self._differs(one, self._shown.get(id)))
        self._shown |= now
        self._versions = {one.count: one.count.value for one in self._made}
        return found

    def _differs(self, storage: Storage, before: Storage | None) -> bool:
        if before is None:
            return True
        moved = any(one.before != one.after for one in storage.counters)
        return moved or storage.names != before.names

    def _storages(self) -> Iterator[Storage]:
        groups: dict[int, list[str]] = {}
        for name, thing in self.names.items():
            groups.setdefault(thing.memory, []).append(name)
        for memory, names in groups.items():
            title = self._titles.setdefault(memory, names[0])
            counters = tuple(self._counters(names))
            yield Storage(memory, title, tuple(self._named(names)), counters)

    def _named(self, names: list[str]) -> Iterator[Name]:
        first: dict[Thing, str] = {}
        for name in names:
            thing = self.names[name]
            how, of = thing.how, ""
            if thing in first:
                how, of = "same object", first[thing]
            elif thing.of is not None:
                of = next((n for n in names if self.names[n] is thing.of), _UNNAMED)
            first.setdefault(thing, name)
            yield Name(name, how, of, thing.requires_grad)

    def _counters(self, names: list[str]) -> Iterator[Counter]:
        groups: dict[Count, list[str]] = {}
        for name in names:
            groups.setdefault(self.names[name].count, []).append(name)
        for count, counted in groups.items():
            yield Counter(tuple(counted), self._versions.get(count), count.value)
