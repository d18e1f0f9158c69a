"""Records in which every field that may hold a text holds one, whatever fields there are."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect


def filled(kind: Any, text: str, turn: int = 0, **given: Any) -> Any:
    """A struct whose strings are all `text`, and whose words of a list are that of this turn.

    Every field is set, those with a default too; `given` are fields that are what is said.
    """
    return msgspec.convert(_value(inspect.type_info(kind), text, turn) | given, kind)


def _value(kind: inspect.Type, text: str, turn: int) -> Any:
    match kind:
        case inspect.StructType():
            held = {f.encode_name: _value(f.type, text, turn) for f in kind.fields}
            return held | ({kind.tag_field: kind.tag} if kind.tag_field else {})
        case inspect.UnionType():
            # Null says nothing, and a number hides no markup.
            ranks = (inspect.StructType, inspect.DictType, inspect.LiteralType, inspect.StrType)
            best = [one for rank in ranks for one in kind.types if isinstance(one, rank)]
            return _value((best or kind.types)[0], text, turn)
        case inspect.Metadata():
            return _value(kind.type, text, turn)
        case inspect.LiteralType():
            return kind.values[turn % len(kind.values)]
        case inspect.DictType():
            return {_value(kind.key_type, text, turn): _value(kind.value_type, text, turn)}
        case inspect.VarTupleType() | inspect.ListType():
            return [_value(kind.item_type, text, turn)]
        case inspect.TupleType():
            return [_value(item, text, turn) for item in kind.item_types]
        case inspect.IntType():
            return 1
        case inspect.FloatType():
            return 1.5
        case inspect.BoolType():
            return True
        case inspect.StrType() | inspect.AnyType():
            return text
    raise TypeError(f"no value for {kind}")
