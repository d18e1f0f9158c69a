"""What an explanation says, as data: the same facts that are printed as text and as JSON."""

from __future__ import annotations

from typing import Literal

import msgspec

from strategies.program import Program

How = Literal["new memory", "view", "same object", "detached alias", ".data alias"]
Outcome = Literal["raises", "runs", "unspecified"]


class LeafFact(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor that the program starts with."""

    name: str
    text: str
    shape: tuple[int, ...]
    dtype: str
    requires_grad: bool


class MadeFact(msgspec.Struct, frozen=True, kw_only=True):
    """A name that a step brought, and what stands behind it."""

    name: str
    how: How
    of: str = ""
    """Whose memory it shares; empty for new memory."""
    base: str = ""
    """The tensor on which the history of a view is kept."""
    shape: tuple[int, ...]
    version: int
    requires_grad: bool
    is_leaf: bool
    ban: str = ""
    """Why autograd will not let it be written, if it will not."""
    says_otherwise: str = ""
    """The known deviation by which torch's `requires_grad` is another."""
    inference: bool = False
    """Whether its memory was made in inference mode: its version means nothing then."""


class OutdatedFact(msgspec.Struct, frozen=True, kw_only=True):
    """A saved tensor that a write leaves behind: a node that unpacks it will raise."""

    node: str
    tensor: str
    saved_at: int


class WriteFact(msgspec.Struct, frozen=True, kw_only=True):
    """A rise of one version counter; versions are whole numbers from 0 up."""

    through: str
    version_before: int
    version_after: int
    seen_by: tuple[str, ...]
    """All names that share this memory and this version counter."""
    hidden_from: tuple[str, ...] = ()
    """Names that share the memory and count for themselves."""
    outdates: tuple[OutdatedFact, ...] = ()
    """What nodes had saved at the version before."""
    moves: bool = False
    """Whether it changes the shape or the strides alone, and no element."""
    uncounted: bool = False
    """Whether it writes an inference tensor, which has no version; both numbers mean nothing."""


class KeptFact(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor that a node saved, and its version then."""

    tensor: str
    role: str
    """The operand's name in torch's documentation, or `result`."""
    version: int


class NodeFact(msgspec.Struct, frozen=True, kw_only=True):
    """The node that a step recorded."""

    operation: str
    saves: tuple[KeptFact, ...]
    private: bool
    """Whether it holds only what no program can reach: a copy of an old value, or a number."""


class UnpackedFact(msgspec.Struct, frozen=True, kw_only=True):
    """A saved tensor that backward looked at."""

    tensor: str
    saved_at: int
    now_at: int
    modified_by: tuple[int, ...] = ()
    """The numbers of the steps that wrote it since."""
    cut_off: bool = False
    """Whether it was the result of an operation when it was saved, and is a leaf now."""


class ExecutedFact(msgspec.Struct, frozen=True, kw_only=True):
    """A node that backward executed."""

    node: str
    step: int | None
    unpacks: tuple[UnpackedFact, ...] = ()
    adds_to: str = ""
    """The leaf whose `.grad` it adds to."""
    dropped: bool = False
    """Whether that leaf does not require grad any more, so that its gradient is lost."""
    raises: bool = False


class TakenFact(msgspec.Struct, frozen=True, kw_only=True):
    """A gradient that `torch.autograd.grad` takes where it enters the node of a tensor."""

    tensor: str
    node: str
    runs: bool
    """Whether that node runs as well, since it leads to something else that is asked for."""


class BackwardFact(msgspec.Struct, frozen=True, kw_only=True):
    """What a backward call did, in order."""

    executed: tuple[ExecutedFact, ...]
    graded: tuple[str, ...]
    """Tensors whose `.grad` received its whole contribution."""
    taken: tuple[TakenFact, ...]
    """Gradients of what is no leaf, which the call returns."""
    freed: tuple[str, ...]
    """Nodes that gave up what they had saved."""
    hidden: str = ""
    """That a saved tensor was overwritten where no version counter saw it."""


class StepFact(msgspec.Struct, frozen=True, kw_only=True):
    """One step: its number (from 1), its text, and what it changed."""

    number: int
    text: str
    opening: tuple[str, ...] = ()
    """Lines of the script that stand between the step before and this one."""
    reached: bool = True
    recorded: bool | None = None
    """Whether autograd recorded it; None where there is nothing to record."""
    why_not_recorded: str = ""
    made: tuple[MadeFact, ...] = ()
    writes: tuple[WriteFact, ...] = ()
    changes_nothing: bool = False
    """Whether it is an in-place step that leaves everything as it was."""
    nodes: tuple[NodeFact, ...] = ()
    changes: tuple[str, ...] = ()
    """What else is different now, a phrase each."""
    backward: BackwardFact | None = None
    raises: bool = False
    unspecified: bool = False
    """Whether nothing documented says what it does."""


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """A change that may help, and what the model says of the program that follows it."""

    text: str
    then: Literal["untried", "runs", "raises later"] = "untried"
    program: Program | None = None
    """The program that follows it, if it was tried."""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """Why the program raises, or why it does not."""

    outcome: Outcome
    step: int | None = None
    """The number of the step that raises."""
    kind: str = ""
    why: tuple[str, ...] = ()
    rule: str = ""
    source: str = ""
    """Where the rule stands; `observed` where no page says it."""
    advice: tuple[Advice, ...] = ()
    message: tuple[str, ...] = ()
    """What torch's message contains."""
    trusted: bool = True
    """Whether the gradients are right: a write that nobody counted, or one to cells that repeat,
    makes them doubtful.
    """
    deviations: tuple[str, ...] = ()
    """Where torch itself is known to do something else, a sentence each."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A program, step by step, and how it ends."""

    program: str
    leaves: tuple[LeafFact, ...]
    steps: tuple[StepFact, ...]
    closing: tuple[str, ...] = ()
    """Lines of the script after the last step."""
    ending: Ending
