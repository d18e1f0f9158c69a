"""Operations on lists of tensors whose nodes keep other things than their namesakes' do.

The other ones are ways of writing in their namesakes' rows. A list of one tensor is written.
"""

from __future__ import annotations

from dataclasses import replace

from strategies.table import pointwise, writes
from strategies.table.row import Row, Save

_NAMESAKES = {row.name: row for row in (*pointwise.ROWS, *writes.ROWS)}

# `addcdiv` has no row here: its backward may raise IndexError, and the register shows that.


def listed(row: Row, *parameters: str) -> tuple[dict[str, str], dict[str, str]]:
    """The plain and the in-place form for lists; a number is a list of numbers, without options."""
    lists = [f"[{{{i}}}]" for i in range(len(row.operands))]
    rest = "" if any(operand.number for operand in row.operands) else "{p}"
    text = ", ".join((*lists, *(f"[{{{name}}}]" for name in parameters))) + rest
    return (
        {"foreach": f"torch._foreach_{row.name}({text})[0]"},
        {"foreach": f"torch._foreach_{row.name}_({text})"},
    )


def _keeps_all(name: str, *, in_place: bool = False, since: str = "1.7", **lists: str) -> Row:
    """The plain form keeps every operand, whichever of them requires grad.

    `lists` are operands whose lists have names of another order than their own.
    """
    row = _NAMESAKES[name]
    operands = (replace(o, number=False, name=lists.get(o.name, o.name)) for o in row.operands)
    row = replace(row, operands=tuple(operands))
    plain, writing = listed(row)
    return replace(
        row,
        name=f"foreach_{name}",
        plain=plain,
        in_place=writing if in_place else {},
        saves=tuple(Save(operand.name) for operand in row.operands),
        saves_in_place=row.saves,
        since=since,
    )


ROWS: tuple[Row, ...] = (
    _keeps_all("add"),
    _keeps_all("sub"),
    # With a number their in-place forms keep nothing, which is not so of mul_ and div_.
    _keeps_all("mul", in_place=True),
    _keeps_all("div", in_place=True),
    _keeps_all("lerp", since="2.0", end="tensors1"),
    _keeps_all("addcmul"),
    replace(
        _NAMESAKES["copy"],
        name="foreach_copy",
        in_place=listed(_NAMESAKES["copy"])[1],
        derivative="not_implemented",
        undifferentiable="always",
        since="2.1",
    ),
)
