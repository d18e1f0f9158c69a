"""Ways to run a program, or part of it, otherwise than plainly: as text that stands in its script.

A transform may define `transformed`, which the functions of a program are decorated with, and
`called`, which its backward calls are; it may stand around the whole program; and it may
differentiate otherwise than by backward calls. `docs/transforms.md` is made from this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from strategies import setups
from strategies.setups import AT_ONCE

Law = Literal[
    "same", "meaning", "right", "unchecked", "numbers", "written", "tangents", "twice", "shared"
]
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
    "written": "As *numbers*, and what requires grad does so in eager torch: of functions that may "
    "write what they take, and give what has no gradient.",
    "tangents": "Values are the oracle's, and so is the forward derivative of every tensor along "
    "tangents of the leaves, where None stands for zeros. Grad modes do not count, for they "
    "do not apply to forward mode; backward calls are left out.",
    "twice": "Of the program up to its first backward call: its gradients are the oracle's, and so "
    "is the gradient of their product with tangents of the leaves, where None stands for zeros. "
    "The oracle differentiates its own function twice.",
    "shared": "Of the program up to its first backward call: each of the threads that ask for its "
    "gradients at once, by one graph, gets the oracle's, where None stands for zeros.",
}
"""What must hold, by the name that a transform gives."""
DERIVED = frozenset[Law]({"tangents", "twice", "shared"})
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
    copies: int = 1
    """How many copies of the program stand side by side in it, which share nothing."""
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
        # "fullgraph (bool) - If True, then we require that the entire function be capturable".
        refuses=("For more details about this graph break",) if whole else (),
    )


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
    "vmap: We do not support batching operators that can support dynamic shape",
    "is not possible because there exists a Tensor `other` in extra_args",
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
            setups.EXPORTED,
            f"{_PAGES}export.html",
            "'produces a traced graph representing only the Tensor computation of the function in "
            "an Ahead-of-Time (AOT) fashion, which can subsequently be executed'",
        ),
        Transform(
            "saved-copied",
            setups.WITHIN.format("saved_tensors_hooks(torch.clone, lambda saved: saved)"),
            f"{_GRAPH}saved_tensors_hooks",
            "'unpack_hook(pack_hook(t)) should be equal to t': a copy cannot be modified",
        ),
        Transform(
            "saved-returned",
            setups.WITHIN.format("saved_tensors_hooks(lambda saved: saved, lambda saved: saved)"),
            f"{_GRAPH}saved_tensors_hooks",
            "'unpack_hook(pack_hook(t)) should be equal to t', which nothing says of a tensor that "
            "is modified in between",
            law="unchecked",
        ),
        Transform(
            "saved-on-cpu",
            setups.WITHIN.format("save_on_cpu()"),
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
                setups.CHECKPOINTED.format(reentrant),
                f"{_PAGES}checkpoint.html",
                "'Checkpoint a model or part of the model': memory is traded for compute",
                recorded_whole=_REENTRANT_LEAVES_OUT * reentrant,
                refuses=_REENTRANT_REFUSES if reentrant else (),
            )
            for reentrant in (False, True)
        ),
        Transform(
            "hooks",
            setups.HOOKS,
            f"{_PAGES}generated/torch.Tensor.register_hook.html",
            "'The hook should not modify its argument, but it can optionally return a new gradient "
            "which will be used in place of grad': these return None",
            law="same",
        ),
        Transform(
            "module-hooks",
            setups.MODULES,
            f"{_PAGES}generated/torch.nn.Module.html#torch.nn.Module.register_forward_hook",
            "'The hook can modify the output': these return None, and nothing is modified",
            law="same",
        ),
        Transform(
            "deterministic",
            setups.DETERMINISTIC,
            f"{_PAGES}generated/torch.use_deterministic_algorithms.html",
            "'algorithms which, given the same input, and when run on the same software and "
            "hardware, always produce the same output'",
            law="same",
            around="deterministic()",
            refuses=("does not have a deterministic implementation",),
        ),
        Transform(
            "threads",
            setups.THREADS,
            f"{_PAGES}notes/autograd.html#multithreaded-autograd",
            f"{AT_ONCE} copies of the program stand side by side. Each function runs in a thread "
            "of its own, and the backward calls of all copies at once, each in another: 'you are "
            "expecting to see extra concurrency instead of serializing all the backward calls'. "
            "They share no leaf, since of 'shared inputs [...] non-determinism should be expected'",
            law="same",
            copies=AT_ONCE,
        ),
        Transform(
            "threads-sharing",
            setups.SHARING,
            f"{_PAGES}notes/autograd.html#multithreaded-autograd",
            f"{AT_ONCE} threads go through one graph at once: 'the Autograd Engine uses thread "
            "mutex locking to ensure thread safety on autograd Nodes', torch.autograd.grad 'may "
            "be used to calculate the gradients instead of backward() to avoid non-determinism', "
            "and of a graph that is shared 'they should use retain_graph=True'",
            law="shared",
        ),
        Transform(
            "custom-function",
            setups.PLAIN + setups.RECOMPUTED,
            f"{_PAGES}notes/extending.html#extending-torch-autograd",
            "What backward of a custom torch.autograd.Function returns is 'the gradient of the "
            "loss w.r.t.' its inputs; here it runs the function again, with grad mode on",
            law="numbers",
        ),
        Transform(
            "custom-function-dirty",
            setups.WRITTEN,
            f"{_PAGES}generated/torch.autograd.function.FunctionCtx.mark_dirty.html",
            "'Every tensor that's been modified in-place in a call to forward() should be given to "
            "this function, to ensure correctness of our checks'; and mark_non_differentiable "
            "'will mark outputs as not requiring gradients'",
            law="written",
            refuses=("inplace an input that is a view of another Tensor, your Function cannot",),
        ),
        Transform(
            "func-grad",
            setups.PLAIN + setups.GRAD,
            f"{_FUNC}grad.html",
            "'helps computing gradients of func with respect to the input(s) specified by argnums'",
            law="numbers",
        ),
        Transform(
            "func-vjp",
            setups.PLAIN + setups.VJP,
            f"{_FUNC}vjp.html",
            "'Standing for the vector-Jacobian product, returns a tuple containing the results of "
            "func applied to primals and a function that, when given cotangents, computes the "
            "reverse-mode Jacobian'",
            law="numbers",
        ),
        Transform(
            "func-jvp",
            setups.PLAIN + setups.JVP,
            f"{_FUNC}jvp.html",
            "'Standing for the Jacobian-vector product, returns a tuple containing the output of "
            "func(*primals) and the Jacobian of func evaluated at primals times tangents'",
            law="numbers",
            forward=True,
            refuses=_NO_FORMULA,
        ),
        Transform(
            "func-jacfwd",
            setups.PLAIN + setups.JACFWD,
            f"{_FUNC}jacfwd.html",
            "'Computes the Jacobian of func with respect to the arg(s) at index argnum using "
            "forward-mode autodiff', by vmap",
            law="numbers",
            forward=True,
            refuses=(*_NO_FORMULA, *_VMAP_REFUSES),
        ),
        Transform(
            "vmap",
            setups.MAPPED,
            f"{_FUNC}vmap.html",
            "'vmap is the vectorizing map; vmap(func) returns a new function that maps func over "
            "some dimension of the inputs'",
            law="numbers",
            refuses=_VMAP_REFUSES,
        ),
        Transform(
            "forward-mode",
            setups.DUAL,
            f"{_PAGES}autograd.html#forward-mode-automatic-differentiation",
            "'all forward AD computation must occur within the dual_level context'; and of "
            "torch.no_grad: 'This API does not apply to forward-mode AD'",
            law="tangents",
            around="forward_ad.dual_level()",
            refuses=_NO_FORMULA,
        ),
        Transform(
            "double-backward",
            setups.TWICE,
            f"{_PAGES}generated/torch.autograd.grad.html",
            "create_graph: 'If True, graph of the derivative will be constructed, allowing to "
            "compute higher order derivative products'",
            law="twice",
            refuses=_NO_FORMULA,
        ),
    )
}
"""Name of a mode -> what it does."""
