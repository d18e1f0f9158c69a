"""Known causes of what forward mode, torch.func and modes around a program do wrong: how findings
tell each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from conformance.model import Kind
from conformance.transform_telling import (
    MODIFIED,
    OF_A_LEAF,
    Told,
    memories_of,
    says,
    steps_of,
    unrecorded,
    writes_several,
    written,
)
from strategies.draft import Shaped, way_of
from strategies.functions import functions_of
from strategies.program import Backward

if TYPE_CHECKING:
    from conformance.judge import Finding
    from conformance.verdict import Judged

_SIDES = frozenset(
    {"prelu", "fmax", "fmin", "clamp_tensor", "clamp_min_tensor", "clamp_max_tensor"}
)
_ADDING = frozenset({"addmv", "addbmm", "baddbmm"})
_REMAINDERS = frozenset({"fmod", "remainder"})
_FILLED = frozenset({"max_pool1d"})
"""What asks for memory where autograd counts writes."""


def _own_operand(judged: Judged, finding: Finding) -> bool:
    """A tangent is written in place before it is read as that of the other operand."""
    if finding.kind != "silent wrong gradient":
        return False
    memories = memories_of(judged.prediction)
    return any(
        memories.get(str(step.step.args[0])) == memories.get(str(other))
        for step in judged.draft.shaped
        if isinstance(step, Shaped) and step.in_place
        for other in step.step.args[1:]
        if isinstance(other, str)
    )


def _hidden_from_hooks(judged: Judged, finding: Finding) -> bool:
    """What was saved was written since, and nobody looks at its version."""
    return finding.kind == "silent wrong gradient" and any(
        isinstance(step, Shaped) and step.in_place for step in judged.draft.shaped
    )


def _written_as_list(judged: Judged, finding: Finding) -> bool:
    """A write to a list of tensors is not seen where writes are looked for, nor counted.

    A view of what has entered the graph by it goes on as a leaf.
    """
    leaf = finding.kind == "spurious error" and OF_A_LEAF in finding.message
    told = finding.kind in ("silent wrong gradient", "missing error", "wrong flag") or leaf
    return told and any(
        isinstance(step, Shaped)
        and step.in_place
        and (way_of(step) == "foreach" or step.row.name.startswith("foreach"))
        for step in judged.draft.shaped
    )


def _written_elsewhere(judged: Judged, finding: Finding) -> bool:
    """What is written starts at another element than a tensor of the same memory, by whose first
    element the mode knows what was saved.
    """
    if finding.kind != "silent wrong gradient":
        return False
    memories, layouts = memories_of(judged.prediction), judged.prediction.layouts
    return any(
        memories.get(str(step.step.args[0])) == memory and layouts[name].offset != target.offset
        for step in judged.draft.shaped
        if isinstance(step, Shaped) and step.in_place and (target := step.target) is not None
        for name, memory in memories.items()
    )


def _mode_in_inference(judged: Judged, finding: Finding) -> bool:
    """What stands in inference mode is run below a mode that makes inference tensors of views."""
    told = (
        finding.kind == "wrong flag"
        or unrecorded(finding)
        or "Inference tensors" in finding.message
    )
    return told and any("inference_mode" in step.modes for step in judged.draft.steps)


def _fills_fresh_memory(judged: Judged, finding: Finding) -> bool:
    """Fresh memory is filled before it is used, which counts as a write."""
    told = finding.kind == "wrong flag" and "_version" in finding.message
    pooled = (isinstance(s, Shaped) and s.row.name in _FILLED for s in judged.draft.shaped)
    return told and any(pooled)


def _scattered_under_vmap(judged: Judged, finding: Finding) -> bool:
    """The source of select_scatter is expanded, and its gradient is added up once for each."""
    scattered = any(step.row.name == "select_scatter" for _, step in steps_of(judged))
    return scattered and finding.kind == "silent wrong gradient"


def _takes_sides(judged: Judged, finding: Finding) -> bool:
    """At a tie forward mode takes one side, and reverse mode the other."""
    tied = any(isinstance(s, Shaped) and s.row.name in _SIDES for s in judged.draft.shaped)
    return tied and finding.kind == "silent wrong gradient"


def _scatters_product(judged: Judged, finding: Finding) -> bool:
    """The formula gives no tangent for a product: zeros, or an error where one is to be written."""
    told = (
        finding.kind == "silent wrong gradient" or "proper Tensor but got None" in finding.message
    )
    return told and any(
        isinstance(s, Shaped) and s.row.name == "scatter_reduce" and s.params["reduce"] == "prod"
        for s in judged.draft.shaped
    )


def _sgn_immutable(judged: Judged, finding: Finding) -> bool:
    """The forward derivative of sgn has no memory, and what has it may not be written."""
    told = finding.kind == "spurious error" and "ZeroTensors are immutable" in finding.message
    return told and any(isinstance(s, Shaped) and s.row.name == "sgn" for s in judged.draft.shaped)


def _aborts_at_former_leaf(judged: Judged, finding: Finding) -> bool:
    """What a custom function writes was a leaf, and its gradient is sought as that of one: where
    eager torch raises, the process ends.
    """
    told = finding.kind == "crash" and "autograd_meta() on undefined tensor" in finding.message
    raises = judged.prediction.raises
    return told and raises is not None and raises.kind is Kind.LEAF_MOVED


def _repeats_cells(judged: Judged) -> bool:
    """Whether a function takes a tensor whose cells repeat."""
    layouts = judged.prediction.layouts
    taken = (name for function in functions_of(judged.draft.steps) for name in function.takes)
    return any(name in layouts and layouts[name].repeats_a_cell for name in taken)


def _runs_behind_all_inputs(judged: Judged, finding: Finding) -> bool:
    """A custom function is one node: all of it is run, and all behind it, whatever is asked for."""
    if finding.kind != "spurious error" or MODIFIED not in finding.message:
        return False
    several = any(len(function.takes) > 1 for function in functions_of(judged.draft.steps))
    # What the function's own backward raises is raised at no step of the program.
    place = finding.step
    in_backward = place is None or isinstance(judged.draft.shaped[place], Backward)
    return in_backward and several and written(judged)


def _reduced_under_vmap(judged: Judged, finding: Finding) -> bool:
    """What index_reduce_ has saved of its result is written once more before it has ended."""
    told = MODIFIED in finding.message and "IndexReduce" in finding.message
    reduced = any(step.row.name == "index_reduce" and step.in_place for _, step in steps_of(judged))
    return finding.kind == "spurious error" and told and reduced


def _drops_addend(judged: Judged, finding: Finding) -> bool:
    """Where beta is 0 the addend is left out under vmap, and its history with it."""
    added = (step for _, step in steps_of(judged) if step.row.name in _ADDING)
    return unrecorded(finding) and any(step.params["beta"] == 0 for step in added)


def _shares_tangent(judged: Judged, finding: Finding) -> bool:
    """The tangent of the result is that of the operand, and is written with it."""
    if finding.kind != "silent wrong gradient":
        return False
    steps = [step for step in judged.draft.shaped if isinstance(step, Shaped)]
    remains = any(s.row.name in _REMAINDERS and not s.in_place for s in steps)
    return remains and written(judged)


def _mish_cancels(judged: Judged, finding: Finding) -> bool:
    """The gradient has 1 - tanh², of which nothing is left where tanh is 1."""
    bent = any(isinstance(s, Shaped) and s.row.name == "mish" for s in judged.draft.shaped)
    return bent and finding.message.startswith("the second gradient of")


MODE_CAUSES: Mapping[str, Told] = {
    "forward-sgn-immutable": _sgn_immutable,
    "vmap-index-reduce": _reduced_under_vmap,
    "vmap-drops-addend": _drops_addend,
    "forward-shares-tangent": _shares_tangent,
    "second-mish-cancels": _mish_cancels,
    "custom-function-runs-everything": _runs_behind_all_inputs,
    "custom-function-former-leaf": _aborts_at_former_leaf,
    "forward-takes-sides": _takes_sides,
    "forward-expanded-primal": says(
        "more than one element of the written-to tensor refers", _repeats_cells
    ),
    "forward-scatter-product": _scatters_product,
    "func-lists-unversioned": _written_as_list,
    "export-lists-unversioned": _written_as_list,
    "vmap-select-scatter": _scattered_under_vmap,
    "mutation-allowed-in-inference": _mode_in_inference,
    "mutation-allowed-named-outs": says("KeyError: 'out'", writes_several),
    "deterministic-fill-counts": _fills_fresh_memory,
    "forward-own-operand": _own_operand,
    "saved-on-cpu-unchecked": _hidden_from_hooks,
    "mutation-allowed-lists": _written_as_list,
    "mutation-allowed-elsewhere": _written_elsewhere,
}
"""Quirk of the register -> whether a finding of a program has that cause."""
