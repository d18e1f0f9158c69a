"""Programs that tell the model from its mutants, and all that the model says of them.

`tests/distinguishing.jsonl.gz` is made by `python -m tools.distinguishing`.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from conformance.model import predict
from conformance.model.backward import Flow
from conformance.model.prediction import Acted, Prediction
from conformance.model.state import Node
from strategies.draft import Draft, check
from strategies.layout import Layout
from strategies.program import ProgramError, decode
from strategies.table.changes import TABLES

PATH = Path(__file__).with_name("distinguishing.jsonl.gz")


class Case(msgspec.Struct, frozen=True):
    """A program, the version of torch that it is foretold for, and the quirks."""

    program: msgspec.Raw
    torch: str = TABLES
    quirks: tuple[str, ...] = ()

    def draft(self) -> Draft:
        """Raises ProgramError if that torch has no such program."""
        return check(decode(bytes(self.program))).as_in(self.torch)


class Line(Case, frozen=True, kw_only=True):
    """And what the model says of it."""

    said: Any


def read(path: Path = PATH) -> Iterator[Line]:
    with gzip.open(path) as file:
        for line in file:
            yield msgspec.json.decode(line, type=Line)


def foretold(case: Case, draft: Draft) -> Any:
    """All that the model says of a case, as JSON knows it."""
    prediction = predict(draft, quirks=frozenset(case.quirks), watched=True)
    return msgspec.to_builtins(told(prediction), str_keys=True)


def told(prediction: Prediction) -> dict[str, Any]:
    raises = prediction.raises
    return {
        "raises": raises and (raises.step, raises.kind.value, raises.why),
        "open": (prediction.unspecified, prediction.open, prediction.hidden),
        "flags": prediction.flags,
        "memory": prediction.memory,
        "layouts": {name: _layout(one) for name, one in prediction.layouts.items()},
        "histories": prediction.histories,
        "graded": prediction.graded,
        "sought": sorted(prediction.sought),
        "grads": {name: _layout(one) for name, one in prediction.grads.items()},
        "saved": prediction.saved,
        "places": prediction.places,
        "acted": [_acted(one) for one in prediction.acted],
        "trace": prediction.trace,
    }


def _layout(layout: Layout | None) -> Any:
    return layout and (layout.shape, layout.strides, layout.offset)


def _acted(acted: Acted) -> Any:
    flow = acted.flow and _flow(acted.flow)
    node = acted.node and _node(acted.node)
    return acted.recorded, acted.connected, node, flow, acted.places, acted.open


def _flow(flow: Flow) -> Any:
    raised = flow.raised and (flow.raised.kind.value, flow.raised.why)
    return {
        "accumulated": [tensor.name for tensor in flow.accumulated],
        "taken": [tensor.name for tensor in flow.taken],
        "captured": [(one.tensor.name, _layout(one.layout)) for one in flow.captured],
        "roots": [tensor.name for tensor in flow.roots],
        "raised": raised,
        "open": (flow.dropped, flow.hidden, flow.shared),
        "reaching": flow.reaching,
        "executed": [node.operation for node in flow.executed],
        "marked": len(flow.marked),
    }


def _node(node: Node) -> Any:
    """What a node is when the program has ended, without those that follow it."""
    return {
        "operation": node.operation,
        "edges": [edge and edge.operation for edge in node.edges],
        "order": node.order,
        "read": [tensor.name for tensor in node.read],
        "at": node.at,
        "saved": [(one.what, one.tensor.name, one.version, one.writes) for one in node.saved],
        "is": (node.several, node.keeps, node.freed, node.ran),
        "layout": _layout(node.layout),
        "inner": node.inner and node.inner.operation,
        "slice": (node.folds, node.overlaps, node.beyond, node.shares),
        "derivative": (node.forbidden, node.underivable, node.underived),
    }


def known(case: Case) -> bool:
    """Whether there is such a program in that torch."""
    try:
        case.draft()
    except ProgramError:
        return False
    return True
