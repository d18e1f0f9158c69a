"""The memory of a program at one moment: storages, their names and versions, what nodes saved."""

from __future__ import annotations

from dataclasses import dataclass, field

from conformance._trace_schema import Counter, Held, Kept, Name, Relation, Storage
from conformance.explain.ledger import Ledger, Looked
from conformance.model import state
from conformance.model.state import Node, Saved


@dataclass(slots=True)
class Memories:
    """What each memory was when it was last looked at, so that a step shows what it changed."""

    seen: dict[int, Storage] = field(default_factory=dict)
    versions: dict[state.Counter, int] = field(default_factory=dict)
    titles: dict[int, str] = field(default_factory=dict)
    related: dict[str, tuple[Relation, str]] = field(default_factory=dict)
    """Name -> how it came to be, and of whose memory."""

    def changed(self, ledger: Ledger, looked: Looked) -> tuple[Storage, ...]:
        """The memories that are not as they were when this was asked last, each as it is now."""
        found = []
        for memory, names in _by_memory(looked).items():
            title = self.titles.setdefault(memory, names[0])
            counters = tuple(self._counters(looked, names))
            kept = tuple(_kept(ledger, memory))
            named = tuple(self._name(looked, name, names) for name in names)
            storage = Storage(memory, title, named, counters, kept)
            before = self.seen.get(memory)
            moved = any(one.before != one.after for one in counters)
            if before is None or moved or _still(before) != _still(storage):
                found.append(storage)
            self.seen[memory] = storage
        self.versions = {one.tensor.counter: one.version for one in looked.values()}
        return tuple(found)

    def _name(self, looked: Looked, name: str, names: list[str]) -> Name:
        if name not in self.related:
            self.related[name] = _relation(looked, name, [n for n in names if n in self.related])
        how, of = self.related[name]
        return Name(name, how, of, looked[name].requires_grad)

    def _counters(self, looked: Looked, names: list[str]) -> list[Counter]:
        """The counters of one memory: one, and one more for each `.data`."""
        groups: dict[state.Counter, list[str]] = {}
        for name in names:
            groups.setdefault(looked[name].tensor.counter, []).append(name)
        found = []
        for counter, counted in groups.items():
            if looked[counted[0]].tensor.inference:
                found.append(Counter(tuple(counted)))
            else:
                now = looked[counted[0]].version
                found.append(Counter(tuple(counted), self.versions.get(counter), now))
        return found


def _by_memory(looked: Looked) -> dict[int, list[str]]:
    groups: dict[int, list[str]] = {}
    for name, one in looked.items():
        groups.setdefault(one.tensor.memory, []).append(name)
    return groups


def _relation(looked: Looked, name: str, older: list[str]) -> tuple[Relation, str]:
    """How a name that is new relates to the older ones of its memory."""
    tensor = looked[name].tensor
    if not older:
        return ("leaf" if tensor.flag else "new memory"), ""
    for one in older:
        if looked[one].tensor is tensor:
            return "same object", one
    if tensor.base is not None:
        return "view", older[0]
    shares = looked[older[0]].tensor.counter is tensor.counter
    return ("detached alias" if shares else ".data alias"), older[0]


def _kept(ledger: Ledger, memory: int) -> list[Kept]:
    """What recorded nodes hold of a memory, each tensor of each node once."""
    kept: dict[tuple[str, str, int], Kept] = {}
    for node in ledger.interpreter.graph.recorded:
        for saved in node.saved:
            if saved.tensor.memory == memory:
                one = Kept(ledger.label(node), saved.tensor.name, saved.version, _held(node, saved))
                kept[one.node, one.tensor, one.version] = one
    return [*kept.values()]


def _held(node: Node, saved: Saved) -> Held:
    if node.freed:
        return "freed"
    return "overwritten" if saved.stale else "as saved"


def _still(storage: Storage) -> object:
    """A storage but for the version that its counters had before."""
    after = tuple((one.names, one.after) for one in storage.counters)
    return storage.names, after, storage.kept
