"""How a transform has a program written: its leaves, its backward calls, and what comes last.

Three do not run backward calls as they are: forward mode, which moves the leaves along tangents,
double backward, which differentiates gradients again, and threads that share a graph.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from strategies.draft import Draft
from strategies.program import Backward, Generated, Leaf
from strategies.setups import AT_ONCE
from strategies.statements import backward_line, cotangent_line, leaf_line, literal
from strategies.transforms import Transform
from strategies.values import materialise

TANGENT = "TANGENT_"
"""What stands before a tensor's name where its forward derivative is kept; no tensor is called so.
"""
FIRST = "FIRST_"
SECOND = "SECOND_"
"""The same of a first gradient, and of the gradient of its product with tangents."""


THREAD_NUMBERS = range(1, AT_ONCE + 1)


def in_thread(number: int, name: str) -> str:
    """What a leaf's gradient is called that one of several threads found."""
    return f"THREAD_{number}_{name}"


def tangent(leaf: Leaf, position: int) -> NDArray[np.float64]:
    """The direction in which a leaf moves: eighths that are never zero, exact in sums."""
    numbers = materialise(Generated("dyadic", position + 1), leaf.shape, "float64", leaf.name)
    return numbers.astype(np.float64)


class Plainly:
    """As programs are written where nothing transforms them."""

    def leaf(self, leaf: Leaf, position: int, device: str) -> str:
        """The statement that makes a leaf."""
        return leaf_line(leaf, device)

    def backward(self, draft: Draft, index: int, step: Backward, device: str) -> str:
        """The statement of a backward call."""
        return backward_line(draft, index, step, device)

    def last(self, draft: Draft) -> Iterator[str]:
        """The statements after all steps."""
        yield from ()


class Forward(Plainly):
    """Leaves that would require grad are dual tensors, and tangents are read at the end."""

    def leaf(self, leaf: Leaf, position: int, device: str) -> str:
        """A dual tensor, for what requires grad in the program."""
        if not leaf.requires_grad:
            return leaf_line(leaf, device)
        plain = literal(materialise(leaf.data, leaf.shape, leaf.dtype, leaf.name), device)
        along = literal(tangent(leaf, position), device)
        return f"{leaf.name} = forward_ad.make_dual({plain}, {along})"

    def last(self, draft: Draft) -> Iterator[str]:
        """Every tensor's tangent, by a name of its own."""
        for name, value in draft.values.items():
            if value.dtype == "float64":
                yield f"{TANGENT}{name} = moves({name})"


class Twice(Plainly):
    """A backward call is one with `create_graph`, and another one of the gradients."""

    def backward(self, draft: Draft, index: int, step: Backward, device: str) -> str:
        """Both calls, by the leaves of the program that require grad."""
        data = step.cotangents or (None,) * len(step.of)
        roots = zip(step.of, draft.roots[index], data, strict=True)
        cotangents = ", ".join(cotangent_line(*root, device) for root in roots)
        leaves = [(n, leaf) for n, leaf in enumerate(draft.leaves) if leaf.requires_grad]
        made = ", ".join(f"{which}{leaf.name}" for which in (FIRST, SECOND) for _, leaf in leaves)
        names = ", ".join(leaf.name for _, leaf in leaves)
        tangents = ", ".join(literal(tangent(leaf, n), device) for n, leaf in leaves)
        return f"{made} = twice([{', '.join(step.of)}], [{cotangents}], [{names}], [{tangents}])"


class Sharing(Plainly):
    """A backward call is one for the gradients of all leaves, made by several threads at once."""

    def backward(self, draft: Draft, index: int, step: Backward, device: str) -> str:
        """The call, by the leaves of the program that require grad."""
        data = step.cotangents or (None,) * len(step.of)
        roots = zip(step.of, draft.roots[index], data, strict=True)
        cotangents = ", ".join(cotangent_line(*root, device) for root in roots)
        leaves = [leaf.name for leaf in draft.leaves if leaf.requires_grad]
        made = ", ".join(in_thread(number, name) for number in THREAD_NUMBERS for name in leaves)
        return f"{made} = sharing([{', '.join(step.of)}], [{cotangents}], [{', '.join(leaves)}])"


_PLAINLY = Plainly()
_BY_LAW: dict[str, Plainly] = {"tangents": Forward(), "twice": Twice(), "shared": Sharing()}


def manner_of(transform: Transform) -> Plainly:
    """How a program is written for a transform."""
    return _BY_LAW.get(transform.law, _PLAINLY)
