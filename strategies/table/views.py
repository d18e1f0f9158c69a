"""Operations that return views of their operand, or the operand itself where nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from strategies import layout as lay
from strategies.layout import Layout
from strategies.table.results import tensors
from strategies.table.row import (
    Layouts,
    Made,
    Param,
    Params,
    Refused,
    Row,
    in_place_method,
    operands,
)


def _view(
    name: str,
    move: Callable[[Layout, Params], Layout],
    *params: Param,
    function: bool = True,
    needs: Callable[[Layout], bool] = lambda layout: True,
    drawn: Callable[[Layout], bool] = lambda layout: True,
    plain: dict[str, str] | None = None,
    derivative: str = "",
    in_place: bool = False,
    since: str = "1.2",
) -> Row:
    """A row for a view; `in_place` says that torch can move the tensor itself there as well."""
    spelled = {"method": f"{{0}}.{name}({{p}})"}
    if function:
        spelled["function"] = f"torch.{name}({{0}}{{p}})"
    return Row(
        name,
        operands("self"),
        lambda layouts, values: (Made(move(tensors(layouts)[0], values), "view"),),
        None,
        plain or spelled,
        in_place_method(name, 1) if in_place else {},
        params,
        kind="view",
        derivative=derivative,
        moves=move if in_place else None,
        since=since,
        needs=lambda layouts: needs(tensors(layouts)[0]),
        drawn=lambda layouts: drawn(tensors(layouts)[0]),
    )


def _moved(layout: Layout, source: int, destination: int) -> Layout:
    """The layout with one dimension in another place and the others in their order."""
    dims = [d for d in range(layout.ndim) if d != source % layout.ndim]
    dims.insert(destination % layout.ndim, source % layout.ndim)
    return lay.permuted(layout, tuple(dims))


def _several(name: str, cut: Callable[[Layout, Params], list[Layout]], *params: Param) -> Row:
    return Row(
        name,
        operands("self"),
        lambda layouts, values: tuple(
            Made(part, "view") for part in cut(tensors(layouts)[0], values)
        ),
        None,
        {"method": f"{{0}}.{name}({{p}})", "function": f"torch.{name}({{0}}{{p}})"},
        params=params,
        kind="view",
        multi=True,
        derivative="stack or cat of the gradients",
        needs=lambda layouts: _FULL(tensors(layouts)[0]),
        drawn=lambda layouts: max(tensors(layouts)[0].shape) <= 4,
    )


def _as_view(layout: Layout, params: Params) -> Layout:
    shape = lay.resolved(tuple(params["shape"]), layout.numel)
    seen = lay.viewed(layout, shape)
    if seen is None:
        raise Refused("view stride", lay.contiguous(shape))
    return seen


def _reshaped(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    (layout,) = tensors(layouts)
    return _seen_or_copied(layout, lay.resolved(tuple(params["shape"]), layout.numel))


def _flattened(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    """The very tensor where one dimension is flattened, as observed: a view could do as well."""
    (layout,) = tensors(layouts)
    shape = lay.flattened(layout.shape, params["start_dim"], params["end_dim"])
    if shape == layout.shape:
        return (Made(layout, "same"),)
    return _seen_or_copied(layout, shape)


def _flatten(m: Any, self: Any, *, start_dim: int, end_dim: int) -> Any:
    shape = lay.flattened(self.shape, start_dim, end_dim)
    return m.apply("copy", self).reshape(shape)


def _seen_or_copied(layout: Layout, shape: tuple[int, ...]) -> tuple[Made, ...]:
    seen = lay.viewed(layout, shape)
    return (Made(lay.contiguous(shape)) if seen is None else Made(seen, "view"),)


def _packed_or_same(layouts: Layouts, params: Params) -> tuple[Made, ...]:
    (layout,) = tensors(layouts)
    if layout.is_contiguous:
        return (Made(layout, "same"),)
    return (Made(lay.contiguous(layout.shape)),)


def _chunks(layout: Layout, params: Params) -> list[Layout]:
    dim, size = params["dim"], layout.shape[params["dim"]]
    if params["chunks"] < 1:
        raise ValueError("chunk needs at least one chunk")
    each = -(-size // params["chunks"])
    return _split(layout, {"split_size": max(each, 1), "dim": dim})


def _split(layout: Layout, params: Params) -> list[Layout]:
    dim, each = params["dim"], params["split_size"]
    if each < 1:
        raise ValueError("split needs a positive size")
    size = layout.shape[dim]
    sizes = [min(each, size - start) for start in range(0, size, each)]
    return lay.pieces(layout, sizes, dim)


def _unbound(layout: Layout, params: Params) -> list[Layout]:
    return [lay.selected(layout, params["dim"], i) for i in range(layout.shape[params["dim"]])]


def indexed(layout: Layout, index: list[Any]) -> Layout:
    """The view `x[index]`: integers, [start, stop, step] slices, None, "..." at most once, or True
    alone, which is a dimension of size 1 as None is.
    """
    index = _without_true(index)
    count = sum(item is not None and item != "..." for item in index)
    if count > layout.ndim or sum(item == "..." for item in index) > 1:
        raise ValueError(f"index {index} has too many entries for shape {layout.shape}")
    at = 0
    for item in index:
        if item == "...":
            taken = sum(each is not None for each in index[index.index("...") + 1 :])
            at = layout.ndim - taken
        elif item is None:
            layout = lay.unsqueezed(layout, at)
            at += 1
        elif isinstance(item, int):
            if not -layout.shape[at] <= item < layout.shape[at]:
                raise ValueError(f"index {item} is out of range for shape {layout.shape}")
            layout = lay.selected(layout, at, item)
        else:
            layout = lay.sliced(layout, at, *item)
            at += 1
    return layout


def _without_true(index: list[Any]) -> list[Any]:
    return [None if item is True else item for item in index]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why torch does not take an index, and how many of its entries it has followed by then."""

    why: str
    at: int = 0


def fault(layout: Layout, index: list[Any]) -> Fault | None:
    """What is wrong with `x[index]`, of all that is wrong the first that torch sees (observed)."""
    index = _without_true(index)
    entries = [item for item in index if item != "..." and item is not None]
    if layout.ndim == 0 and len(index) == 1 and entries:
        misses = isinstance(entries[0], int) and entries[0] != 0
        return Fault("index out of range" if misses else "index of a 0-d tensor")
    if len(entries) > layout.ndim:
        return Fault("too many indices")
    sizes = list(layout.shape)
    for at, item in enumerate(index):
        if item == "...":
            left = sum(each is not None for each in index[at + 1 :])
            sizes = sizes[len(sizes) - left :]
        if item == "..." or item is None:
            continue
        size = sizes.pop(0)
        if isinstance(item, int) and not -size <= item < size:
            return Fault("index out of range", at)
    return None


_DIM = Param("dim", "dim", required=True)
_SHAPE = Param("shape", "shape", required=True)
_FULL: Callable[[Layout], bool] = lambda layout: layout.ndim >= 1 and min(layout.shape) > 0  # noqa: E731
_Kind = Literal["fresh", "view", "maybe-self", "writes"]
_MAYBE: _Kind = "maybe-self"

ROWS: tuple[Row, ...] = (
    _view("view", _as_view, _SHAPE, function=False, derivative="grad.reshape(self.sizes())"),
    _view(
        "transpose",
        lambda x, p: lay.transposed(x, p["dim0"], p["dim1"]),
        Param("dim0", "dim", required=True),
        Param("dim1", "dim", required=True),
        needs=lambda x: x.ndim >= 1,
        derivative="grad.transpose(dim0, dim1)",
        in_place=True,
    ),
    *(
        _view(
            name,
            lambda x, p: lay.transposed(x, p["dim0"], p["dim1"]),
            Param("dim0", "dim", required=True),
            Param("dim1", "dim", required=True),
            needs=lambda x: x.ndim >= 1,
            derivative="as transpose",
            in_place=True,
            since="1.8",
        )
        for name in ("swapaxes", "swapdims")
    ),
    *(
        _view(
            name,
            lambda x, p: _moved(x, p["source"], p["destination"]),
            Param("source", "dim", required=True),
            Param("destination", "dim", required=True),
            needs=lambda x: x.ndim >= 1,
            derivative="as permute",
            since=since,
        )
        for name, since in (("movedim", "1.7"), ("moveaxis", "1.8"))
    ),
    _view(
        "broadcast_to",
        lambda x, p: lay.expanded(x, tuple(p["shape"])),
        Param("shape", "larger shape", required=True),
        needs=lambda x: x.numel <= 8,
        derivative="as expand",
        since="1.8",
    ),
    _view(
        "permute",
        lambda x, p: lay.permuted(x, tuple(d % max(x.ndim, 1) for d in p["dims"])),
        Param("dims", "permutation", required=True),
        plain={"method": "{0}.permute({p})"},
        needs=lambda x: x.ndim >= 1,
        derivative="grad.permute(the inverse permutation)",
    ),
    _view(
        "t",
        lambda x, p: lay.transposed(x, 0, 1) if x.ndim == 2 else x,
        needs=lambda x: x.ndim <= 2,
        derivative="grad.t()",
        in_place=True,
    ),
    _view(
        "squeeze",
        lambda x, p: lay.squeezed(x, p["dim"]),
        Param("dim", "optional dim"),
        derivative="grad.unsqueeze where a dimension went",
        in_place=True,
    ),
    _view(
        "unsqueeze",
        lambda x, p: lay.unsqueezed(x, p["dim"]),
        Param("dim", "new dim", required=True),
        drawn=lambda x: x.ndim <= 4,
        derivative="grad.squeeze(dim)",
        in_place=True,
    ),
    _view(
        "expand",
        lambda x, p: lay.expanded(x, tuple(p["shape"])),
        Param("shape", "larger shape", required=True),
        function=False,
        drawn=lambda x: x.numel <= 8,
        derivative="grad.sum_to(self.sizes())",
    ),
    _view(
        "select",
        lambda x, p: lay.selected(x, p["dim"], p["index"]),
        _DIM,
        Param("index", "position", required=True),
        needs=_FULL,
        derivative="select_backward(grad, sizes, dim, index)",
    ),
    _view(
        "narrow",
        lambda x, p: lay.sliced(x, p["dim"], p["start"], p["start"] + p["length"], 1),
        _DIM,
        Param("start", "position", required=True),
        Param("length", "rest of dim", required=True),
        needs=_FULL,
        derivative="slice_backward(grad)",
    ),
    _view(
        "index",
        lambda x, p: indexed(x, p["index"]),
        Param("index", "index", required=True),
        plain={"operator": "{0}[{p}]"},
        derivative="select_backward, slice_backward, or alias",
    ),
    _view(
        "diagonal",
        lambda x, p: lay.diagonal(x, p["offset"], p["dim1"], p["dim2"]),
        Param("offset", "int", 0, (0, 1, -1)),
        Param("dim1", "first dim", 0),
        Param("dim2", "last dim", 1),
        needs=lambda x: x.ndim >= 2,
        derivative="diagonal_backward(grad, sizes, offset, dim1, dim2)",
    ),
    _view(
        "view_as",
        lambda x, p: _as_view(x, {"shape": x.shape}),
        plain={"method": "{0}.view_as({0})"},
        derivative="grad",
    ),
    _view(
        "as_strided",
        lambda x, p: lay.restrided(x, tuple(p["size"]), tuple(p["stride"]), p["storage_offset"]),
        Param("size", "sizes", required=True),
        Param("stride", "strides", required=True),
        Param("storage_offset", "storage offset"),
        derivative="as_strided_backward(grad, self's geometry, size, stride, storage_offset)",
        in_place=True,
    ),
    _view(
        "unfold",
        lambda x, p: lay.unfolded(x, p["dimension"], p["size"], p["step"]),
        Param("dimension", "dim", required=True),
        Param("size", "window", required=True),
        Param("step", "positive int", choices=(1, 2, 3), required=True),
        function=False,
        drawn=lambda x: x.ndim <= 5,
        derivative="unfold_backward(grad, self.sizes(), dimension, size, step)",
    ),
    _several("unbind", _unbound, Param("dim", "dim", 0)),
    _several(
        "chunk",
        _chunks,
        Param("chunks", "int", choices=(2, 1, 3), required=True),
        Param("dim", "dim", 0),
    ),
    _several(
        "split",
        _split,
        Param("split_size", "int", choices=(1, 2), required=True),
        Param("dim", "dim", 0),
    ),
    Row(
        "reshape",
        operands("self"),
        _reshaped,
        "copy",
        {"method": "{0}.reshape({p})", "function": "torch.reshape({0}{p})"},
        params=(Param("shape", "any shape", required=True),),
        kind=_MAYBE,
        derivative="grad.reshape(self.sizes())",
    ),
    Row(
        "flatten",
        operands("self"),
        _flattened,
        _flatten,
        {"method": "{0}.flatten({p})", "function": "torch.flatten({0}{p})"},
        params=(Param("start_dim", "start dim", 0), Param("end_dim", "end dim", -1)),
        kind=_MAYBE,
        derivative="grad.reshape(self.sizes())",
    ),
    Row(
        "contiguous",
        operands("self"),
        _packed_or_same,
        "copy",
        {"method": "{0}.contiguous()"},
        kind=_MAYBE,
        derivative="grad",
    ),
    Row(
        "detach",
        operands("self"),
        lambda layouts, params: (Made(tensors(layouts)[0], "view"),),
        None,
        {"method": "{0}.detach()"},
        {"method": "{0}.detach_()"},
        kind="view",
        differentiable=False,
        derivative="not differentiable",
        relabels=True,
    ),
    Row(
        "requires_grad",
        operands("self"),
        lambda layouts, params: (),
        None,
        in_place={"method": "{0}.requires_grad_({p})"},
        params=(Param("requires_grad", "bool", True, (True, False)),),
        differentiable=False,
        derivative="not differentiable",
        relabels=True,
    ),
    Row(
        "resize",
        operands("self"),
        lambda layouts, params: (),
        None,
        in_place={"method": "{0}.resize_({p})"},
        params=(Param("size", "sizes", required=True),),
        differentiable=False,
        derivative="not differentiable: a way around autograd",
        relabels=True,
        outside_the_law=True,
    ),
    Row(
        "set",
        operands("self", "source"),
        lambda layouts, params: (),
        None,
        in_place={"method": "{0}.set_({1})"},
        differentiable=False,
        derivative="not differentiable: a way around autograd",
        relabels=True,
        outside_the_law=True,
        broadcasts=False,
    ),
    Row(
        "resize_as",
        operands("self", "the_template"),
        lambda layouts, params: (),
        None,
        in_place={"method": "{0}.resize_as_({1})"},
        differentiable=False,
        derivative="not differentiable: a way around autograd",
        relabels=True,
        outside_the_law=True,
        broadcasts=False,
    ),
    Row(
        "data",
        operands("self"),
        lambda layouts, params: (Made(tensors(layouts)[0], "view"),),
        None,
        {"method": "{0}.data"},
        kind="view",
        differentiable=False,
        derivative="not differentiable; its version counter is its own",
    ),
)
