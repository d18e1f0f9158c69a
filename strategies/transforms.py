"""Ways to run a program, or part of it, otherwise than plainly: as text that stands in its script.

A transform may define `transformed`, which the functions of a program are decorated with, and
`called`, which its backward calls are; it may stand around the whole program; and it may
differentiate otherwise than by backward calls. `docs/transforms.md` is made from this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Law = Literal["same", "meaning", "right", "unchecked", "numbers", "tangents", "twice"]
LAWS: dict[Law, str] = {
    "same": "Nothing changes: errors, their kinds and places, flags, versions, memory, values and "
    "gradients are those of eager torch; but not which gradients there are when a backward call "
    "has raised, for the order of nodes is documented nowhere.",
    "meaning": "Values, gradients and what is written into inputs are the oracle's, which is the "
    "gradient of what was computed; `requires_grad`, leaves and memory are eager torch's. Where "
    "eager torch raises, this may raise anywhere, or give the oracle's result.",
    "right": "As *meaning*; and a saved tensor that was written is no reason to raise: the result "
    "is the oracle's, always.",
    "unchecked": "What eager torch does; but where that raises since a saved tensor was written, "
    "nothing says what becomes of the gradient: unspecified.",
    "numbers": "Values and gradients are the oracle's, where None stands for zeros; flags and "
    "memory are not compared. Of functions that write none of their inputs and give nothing that "
    "shares memory with one: torch.func and custom functions ask for these. Others are not "
    "exercised.",
    "tangents": "Values are the oracle's, and so is the forward derivative of every tensor along "
    "tangents of the leaves, where None stands for zeros. Grad modes do not count, for they "
    "do not apply to forward mode; backward calls are left out.",
    "twice": "Of the program up to its first backward call: its gradients are the oracle's, and so "
    "is the gradient of their product with tangents of the leaves, where None stands for zeros. "
    "The oracle differentiates its own function twice.",
}
"""What must hold, by the name that a transform gives."""
DERIVED = frozenset[Law]({"tangents", "twice"})
"""The laws of what differentiates a program otherwise than by its backward calls."""
_PAGES = "https://docs.pytorch.org/docs/stable/"
_FUNC = f"{_PAGES}generated/torch.func."
_GRAPH = f"{_PAGES}autograd.html#torch.autograd.graph."


@dataclass(frozen=True, slots=True)
class Transform:
    """What a program becomes, by which law, and by which page."""

    name: str
    setup: str
    """The statements that define what stands below: `transformed`, `called`, `around`."""
    source: str
    sentence: str
    """What that page promises, in its words."""
    law: Law = "meaning"
    compiles: bool = False
    """Whether the compiler must have made a graph of all of it, or nothing was tried."""
    around: str = ""
    """The context manager that the whole program stands in."""
    forward: bool = False
    """Whether it differentiates forward, where grad modes do not count."""
    recorded_whole: str = ""
    """The page's words that leave out functions with tensors that are detached from the graph."""
    refuses: tuple[str, ...] = ()
    """Fragments of messages by which it says that it does not know an operation: not exercised."""

    @property
    def on_functions(self) -> bool:
        """Whether the functions of a program are decorated; others are steps like any."""
        return "transformed" in self.setup

    @property
    def on_calls(self) -> bool:
        """Whether backward calls are decorated."""
        return "def called(" in self.setup


def _compiled(backend: str, *, dynamic: bool, whole: bool) -> Transform:
    options = f'backend="{backend}", dynamic={dynamic}' + (", fullgraph=True" if whole else "")
    name = f"compile-{backend}" + "-dynamic" * dynamic + "-fullgraph" * whole
    return Transform(
        name,
        f"transformed = lambda function: torch.compile(function, {options})",
        f"{_PAGES}generated/torch.compile.html",
        "torch.compile: 'Optimizes given model/function using TorchDynamo and specified backend'; "
        "it changes how fast, not what is computed",
        compiles=True,
    )


_CHECKPOINTED = """\
from torch.utils.checkpoint import checkpoint
transformed = lambda function: lambda *tensors: checkpoint(function, *tensors, use_reentrant={})\
"""
_WITHIN = """\
def transformed(function):
    def call(*tensors):
        with torch.autograd.graph.{}:
            return function(*tensors)
    return call\
"""
_HOOKS = """\
def hooked(given):
    for tensor in given if isinstance(given, tuple) else (given,):
        # To look for the node of a view may make it anew.
        if isinstance(tensor, torch.Tensor) and tensor.requires_grad and not tensor._is_view():
            tensor.register_hook(lambda gradient: None)
            if tensor.grad_fn is None:
                tensor.register_post_accumulate_grad_hook(lambda tensor: None)
            else:
                tensor.grad_fn.register_prehook(lambda gradients: None)
                tensor.grad_fn.register_hook(lambda before, after: None)
    return given
def transformed(function):
    return lambda *tensors: hooked(function(*hooked(tensors)))\
"""
_MODULES = """\
class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
    def forward(self, *tensors):
        return self.function(*tensors)
def transformed(function):
    module = Function(function)
    module.register_forward_pre_hook(lambda module, given: None)
    module.register_forward_hook(lambda module, given, made: None)
    return module\
"""
_DETERMINISTIC = """\
from contextlib import contextmanager
@contextmanager
def deterministic():
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)\
"""
_THREADS = """\
from concurrent.futures import ThreadPoolExecutor
def apart(work, *given):
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work, *given).result()
def transformed(function):
    return lambda *tensors: apart(function, *tensors)
def called(function):
    return lambda: apart(function)\
"""
_PLAIN = """\
def plain(made):
    return made if isinstance(made, tuple) else (made,)
def kept(tensor):
    memory = tensor.detach().untyped_storage().clone()
    place = tensor.storage_offset(), tensor.shape, tensor.stride()
    return torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(memory, *place)
def transformed(function):
    work = lambda *tensors: plain(function(*tensors))
    class Differentiated(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *tensors):
            ctx.save_for_backward(*map(kept, tensors))
            ctx.set_materialize_grads(False)
            made = work(*tensors)
            # A view would be one of what the function made, which autograd does not know.
            return tuple(one.clone() if one._is_view() else one for one in made)
        @staticmethod
        def backward(ctx, *gradients):
            asked = [place for place, one in enumerate(gradients) if one is not None]
            of_these = lambda *given: tuple(work(*given)[place] for place in asked)
            weights = tuple(gradients[place] for place in asked)
            return derived(of_these, ctx.saved_tensors, weights, ctx.needs_input_grad)
    def call(*tensors):
        made = Differentiated.apply(*tensors)
        return made if len(made) > 1 else made[0]
    return call
"""
"""A custom function that keeps copies of its inputs, and is differentiated by `derived`."""
_GRAD = """\
def derived(work, given, gradients, needed):
    weighted = lambda *tensors: sum(
        (one * two).sum() for one, two in zip(work(*tensors), gradients)
    )
    places = [place for place, asked in enumerate(needed) if asked]
    found = dict(zip(places, torch.func.grad(weighted, tuple(places))(*given)))
    return tuple(map(found.get, range(len(given))))\
"""
_VJP = """\
def derived(work, given, gradients, needed):
    places = [place for place, asked in enumerate(needed) if asked]
    def of_these(*tensors):
        inputs = list(given)
        for place, tensor in zip(places, tensors):
            inputs[place] = tensor
        return work(*inputs)
    _, pull = torch.func.vjp(of_these, *(given[place] for place in places))
    found = dict(zip(places, pull(gradients)))
    return tuple(map(found.get, range(len(given))))\
"""
_JVP = """\
def derived(work, given, gradients, needed):
    found = [None] * len(given)
    for place in (place for place, asked in enumerate(needed) if asked):
        of_this = lambda tensor: work(*given[:place], tensor, *given[place + 1:])
        found[place] = torch.zeros(given[place].shape, dtype=torch.float64)
        for cell in range(given[place].numel()):
            along = torch.zeros(given[place].shape, dtype=torch.float64)
            along.view(-1)[cell] = 1.0
            moved = torch.func.jvp(of_this, (given[place],), (along,))[1]
            total = sum((one * two).sum() for one, two in zip(moved, gradients))
            found[place].view(-1)[cell] = total
    return tuple(found)\
"""
_JACFWD = """\
def derived(work, given, gradients, needed):
    found = [None] * len(given)
    for place in (place for place, asked in enumerate(needed) if asked):
        for one, rows in zip(gradients, torch.func.jacfwd(work, place)(*given)):
            term = torch.tensordot(one, rows, one.dim())
            found[place] = term if found[place] is None else found[place] + term
    return tuple(found)\
"""
_RECOMPUTED = """\
def derived(work, given, gradients, needed):
    given = [tensor.detach().requires_grad_(asked) for tensor, asked in zip(given, needed)]
    with torch.enable_grad():
        made = work(*given)
    pairs = [pair for pair in zip(made, gradients) if pair[0].requires_grad]
    if pairs:
        torch.autograd.backward(*zip(*pairs))
    return tuple(tensor.grad for tensor in given)\
"""
_MAPPED = """\
def transformed(function):
    def call(*tensors):
        made = torch.func.vmap(function)(*(each.expand(2, *each.shape) for each in tensors))
        return tuple(each[0] for each in made) if isinstance(made, tuple) else made[0]
    return call\
"""
_EXPORTED = """\
class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
    def forward(self, *tensors):
        return self.function(*tensors)
def transformed(function):
    module = Function(function)
    return lambda *tensors: torch.export.export(module, tensors).module()(*tensors)\
"""
_DUAL = """\
from torch.autograd import forward_ad
def moves(tensor):
    along = forward_ad.unpack_dual(tensor).tangent
    return torch.zeros_like(tensor.data) if along is None else along\
"""
_TWICE = """\
def filled(found, leaves):
    pairs = zip(found, leaves)
    return [torch.zeros_like(leaf.data) if one is None else one for one, leaf in pairs]
def twice(roots, cotangents, leaves, tangents):
    first = torch.autograd.grad(roots, leaves, cotangents, create_graph=True, allow_unused=True)
    pairs = [
        pair for pair in zip(first, tangents) if pair[0] is not None and pair[0].requires_grad
    ]
    second = [None] * len(leaves)
    if pairs:
        firsts, weights = zip(*pairs)
        second = torch.autograd.grad(firsts, leaves, weights, allow_unused=True)
    return filled(first, leaves) + filled(second, leaves)\
"""
_REENTRANT_LEAVES_OUT = (
    "'The reentrant checkpoint does not support checkpointed regions with detached tensors from "
    "the computational graph', as it 'makes all the outputs require gradients'"
)
_REENTRANT_REFUSES = (
    "is incompatible with .grad() or passing an `inputs` parameter",
    "none of output has requires_grad=True",
)
_VMAP_REFUSES = (
    "vmap: inplace arithmetic",
    "vmap: called random operation",
    "vmap: It looks like you",
    "Batching rule not implemented",
    "vmap: we do not yet support",
    "accessing `data` under vmap transform is not allowed",
)
_NO_FORMULA = (
    "Trying to use forward AD with",
    "backward calculation is triggered with a",
    "derivative for aten::",
    "is not implemented",
)

TRANSFORMS: dict[str, Transform] = {
    transform.name: transform
    for transform in (
        *(
            _compiled(backend, dynamic=dynamic, whole=whole)
            for backend in ("eager", "aot_eager", "inductor")
            for dynamic in (False, True)
            for whole in (False, True)
        ),
        Transform(
            "functionalize",
            "transformed = torch.func.functionalize",
            f"{_FUNC}functionalize.html",
            "'a transform that can be used to remove (intermediate) mutations and aliasing from a "
            "function, while preserving the function's semantics'",
        ),
        Transform(
            "export",
            _EXPORTED,
            f"{_PAGES}export.html",
            "'produces a traced graph representing only the Tensor computation of the function in "
            "an Ahead-of-Time (AOT) fashion, which can subsequently be executed'",
        ),
        Transform(
            "saved-copied",
            _WITHIN.format("saved_tensors_hooks(torch.clone, lambda saved: saved)"),
            f"{_GRAPH}saved_tensors_hooks",
            "'unpack_hook(pack_hook(t)) should be equal to t': a copy cannot be modified",
        ),
        Transform(
            "saved-returned",
            _WITHIN.format("saved_tensors_hooks(lambda saved: saved, lambda saved: saved)"),
            f"{_GRAPH}saved_tensors_hooks",
            "'unpack_hook(pack_hook(t)) should be equal to t', which nothing says of a tensor that "
            "is modified in between",
            law="unchecked",
        ),
        Transform(
            "saved-on-cpu",
            _WITHIN.format("save_on_cpu()"),
            f"{_GRAPH}save_on_cpu",
            "'tensors saved by the forward pass will be stored on cpu, then retrieved for "
            "backward'",
        ),
        Transform(
            "mutation-allowed",
            "",
            f"{_GRAPH}allow_mutation_on_saved_tensors",
            "'tensors saved for backward are cloned on mutation, so the original version can still "
            "be used during backward'",
            law="right",
            around="torch.autograd.graph.allow_mutation_on_saved_tensors()",
        ),
        *(
            Transform(
                "checkpoint" + "-reentrant" * reentrant,
                _CHECKPOINTED.format(reentrant),
                f"{_PAGES}checkpoint.html",
                "'Checkpoint a model or part of the model': memory is traded for compute",
                recorded_whole=_REENTRANT_LEAVES_OUT * reentrant,
                refuses=_REENTRANT_REFUSES if reentrant else (),
            )
            for reentrant in (False, True)
        ),
        Transform(
            "hooks",
            _HOOKS,
            f"{_PAGES}generated/torch.Tensor.register_hook.html",
            "'The hook should not modify its argument, but it can optionally return a new gradient "
            "which will be used in place of grad': these return None",
            law="same",
        ),
        Transform(
            "module-hooks",
            _MODULES,
            f"{_PAGES}generated/torch.nn.Module.html#torch.nn.Module.register_forward_hook",
            "'The hook can modify the output': these return None, and nothing is modified",
            law="same",
        ),
        Transform(
            "deterministic",
            _DETERMINISTIC,
            f"{_PAGES}generated/torch.use_deterministic_algorithms.html",
            "'algorithms which, given the same input, and when run on the same software and "
            "hardware, always produce the same output'",
            law="same",
            around="deterministic()",
            refuses=("does not have a deterministic implementation",),
        ),
        Transform(
            "threads",
            _THREADS,
            f"{_PAGES}notes/autograd.html#multithreaded-autograd",
            "Each function runs in a thread of its own, and each backward call in another: 'The "
            "autograd engine is responsible for running all the backward operations necessary to "
            "compute the backward pass', from whatever thread it is called",
            law="same",
        ),
        Transform(
            "custom-function",
            _PLAIN + _RECOMPUTED,
            f"{_PAGES}notes/extending.html#extending-torch-autograd",
            "What backward of a custom torch.autograd.Function returns is 'the gradient of the "
            "loss w.r.t.' its inputs; here it runs the function again, with grad mode on",
            law="numbers",
        ),
        Transform(
            "func-grad",
            _PLAIN + _GRAD,
            f"{_FUNC}grad.html",
            "'helps computing gradients of func with respect to the input(s) specified by argnums'",
            law="numbers",
        ),
        Transform(
            "func-vjp",
            _PLAIN + _VJP,
            f"{_FUNC}vjp.html",
            "'Standing for the vector-Jacobian product, returns a tuple containing the results of "
            "func applied to primals and a function that, when given cotangents, computes the "
            "reverse-mode Jacobian'",
            law="numbers",
        ),
        Transform(
            "func-jvp",
            _PLAIN + _JVP,
            f"{_FUNC}jvp.html",
            "'Standing for the Jacobian-vector product, returns a tuple containing the output of "
            "func(*primals) and the Jacobian of func evaluated at primals times tangents'",
            law="numbers",
            forward=True,
            refuses=_NO_FORMULA,
        ),
        Transform(
            "func-jacfwd",
            _PLAIN + _JACFWD,
            f"{_FUNC}jacfwd.html",
            "'Computes the Jacobian of func with respect to the arg(s) at index argnum using "
            "forward-mode autodiff', by vmap",
            law="numbers",
            forward=True,
            refuses=(*_NO_FORMULA, *_VMAP_REFUSES),
        ),
        Transform(
            "vmap",
            _MAPPED,
            f"{_FUNC}vmap.html",
            "'vmap is the vectorizing map; vmap(func) returns a new function that maps func over "
            "some dimension of the inputs'",
            law="numbers",
            refuses=_VMAP_REFUSES,
        ),
        Transform(
            "forward-mode",
            _DUAL,
            f"{_PAGES}autograd.html#forward-mode-automatic-differentiation",
            "'all forward AD computation must occur within the dual_level context'; and of "
            "torch.no_grad: 'This API does not apply to forward-mode AD'",
            law="tangents",
            around="forward_ad.dual_level()",
            refuses=_NO_FORMULA,
        ),
        Transform(
            "double-backward",
            _TWICE,
            f"{_PAGES}generated/torch.autograd.grad.html",
            "create_graph: 'If True, graph of the derivative will be constructed, allowing to "
            "compute higher order derivative products'",
            law="twice",
            refuses=_NO_FORMULA,
        ),
    )
}
"""Name of a mode -> what it does."""
