"""What the names of torch that stand in a whole script do, as far as the table and names say."""

from __future__ import annotations

from dataclasses import fields
from typing import Literal

from strategies.table import TABLE, Row
from strategies.table.spelled import AUGMENTED, spelled

PLAIN: dict[str, Row] = {}
"""Qualified name, as in `F.relu` or `Tensor.view` -> the row that it spells out of place."""
IN_PLACE: dict[str, Row] = {}
for _row in TABLE.values():
    for _template in _row.plain.values():
        for _name in spelled(_template):
            PLAIN.setdefault(_name, _row)
    for _template in _row.in_place.values():
        for _name in spelled(_template):
            IN_PLACE.setdefault(_name, _row)

MADE = frozenset(
    """tensor zeros ones empty full rand randn randint arange linspace logspace eye zeros_like
    ones_like empty_like full_like rand_like randn_like complex""".split()
)
"""Functions of torch, and with `new_` before them methods, that give memory of its own."""
PRODUCTS = frozenset("mm bmm mv dot outer".split())
"""What the table spells otherwise, and gives memory of its own."""
READ = frozenset(
    """item tolist numel nelement element_size size dim data_ptr storage_offset stride
    is_contiguous is_floating_point is_complex untyped_storage storage get_device""".split()
)
"""Methods that give no tensor and write none."""
FACTS = frozenset(
    "shape dtype device requires_grad is_leaf grad_fn _version ndim layout itemsize".split()
)
"""Attributes that are no tensors."""
VIEWS = frozenset("T mT H mH imag".split())
"""Attributes that are views."""
HARMLESS = frozenset(
    """str bool int float complex len isinstance list tuple dict hasattr getattr sorted repr type
    max min any all zip enumerate print range id set abs round""".split()
)
"""Functions of Python that write no tensor."""
FILLS = frozenset(
    "uniform_ normal_ random_ bernoulli_ exponential_ cauchy_ log_normal_ geometric_".split()
)
"""Methods that fill their tensor in its own memory."""
UNTURNED = frozenset("abs real imag angle modulus".split())
"""What gives real numbers of complex ones."""
REGIONS = {
    "no_grad": "off",
    "enable_grad": "on",
    "inference_mode": "inference",
}
"""Regions of torch -> what they leave of grad mode."""

Does = Literal["fresh", "view", "writes", "unknown"]


def does(name: str, *, inplace: bool = False) -> tuple[Does, bool]:
    """What a call of a qualified name does, and whether its result can require grad.

    A function of torch and a method of the same name are the same operation.
    """
    if name not in PLAIN and name not in IN_PLACE:
        name = _other_space(name)
    if inplace or (name in IN_PLACE and name not in PLAIN):
        row = IN_PLACE.get(name)
        known = row is not None and _writes_once(row)
        return ("writes" if known else "unknown"), True
    if name.removeprefix("Tensor.") in FILLS:
        return "writes", True
    if name in _BY_MODE:
        return "unknown", True
    if name.rpartition(".")[2] in PRODUCTS:
        return "fresh", True
    row = PLAIN.get(name)
    if row is None or row.kind == "maybe-self" or row.multi or not _begins_anew(row):
        return "unknown", True
    return ("view" if row.kind == "view" else "fresh"), row.differentiable


def _other_space(name: str) -> str:
    space, _, last = name.rpartition(".")
    return f"{_SPACES[space]}.{last}" if space in _SPACES else name


_BY_MODE = frozenset(("F.pad",))
"""What works in modes that the table does not have; some of them write what they make."""
_SPACES = {"torch": "Tensor", "Tensor": "torch"}


def _writes_once(row: Row) -> bool:
    """Whether the in-place form raises the version by one, and changes elements alone."""
    moves = row.moves is not None or row.relabels or row.inert
    return row.kind == "fresh" and not moves and row.writes_in is _DEFAULTS["writes_in"]


def _begins_anew(row: Row) -> bool:
    """Whether a result begins at version 0."""
    return all(getattr(row, name) is _DEFAULTS[name] for name in ("begins_at", "begins_unrecorded"))


_DEFAULTS = {field.name: field.default for field in fields(Row)}


def writes_by_name(name: str) -> bool:
    """Whether a method's or a function's name says that it writes in place."""
    last = name.rpartition(".")[2]
    return last.endswith("_") and not last.endswith("__")


def augmented(symbol: str) -> bool:
    """Whether an augmented assignment writes in place; `@=` binds a new tensor."""
    return f"{symbol}=" in AUGMENTED
