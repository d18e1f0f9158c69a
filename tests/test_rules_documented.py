"""Each rule of the model says where it stands: in a sentence of the documentation, or observed.

The rules are written down three times: as functions of the model, as programs in
`model_rules.txt`, and as what `explain` prints. What is said of one must be said of the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import getdoc
from operator import attrgetter
from typing import Any

import pytest
import torch

from conformance.explain.rules import OBSERVED, RULES
from conformance.model import Kind, backward, indexing, overlap, relabel
from conformance.model.errors import PAST
from conformance.model.interpreter import Interpreter
from conformance.model.out import write_out
from conformance.model.state import Graph
from tests.test_model import Rule, _rules

WRITTEN = list(_rules())
PAGES = ("Autograd mechanics", "Broadcasting semantics", "Tensor Attributes", "Tensor Views")
"""Pages that are no docstring, so that nothing here can look them up."""
_QUOTED = re.compile(r'"([^"]+)"\s+\(([\w.]+|[A-Z][\w ,-]+)\)')
FUNCTIONS: tuple[Callable[..., Any], ...] = (
    Interpreter.counts,
    Interpreter._compute,
    Interpreter.record,
    Interpreter._save,
    Interpreter._view,
    Interpreter._alias,
    Interpreter._write,
    indexing.written_part,
    write_out,
    Interpreter._backward,
    Graph.requires_grad,
    Graph.grad_fn,
    Graph.edge,
    Graph.check_write,
    Graph.count_write,
    Graph.rebase,
    backward.run_backward,
    backward._start,
    backward._edges,
    backward._wanted,
    backward._run,
    backward._unpack,
    backward._accumulate,
    overlap.check_overlap,
    *relabel._RULES.values(),
    relabel._change_shape,
    relabel._leave_the_law,
)
"""The model's rules: what decides that something raises, is recorded, counted or saved."""


def plain(text: str) -> str:
    """A sentence as a reader sees it: one line, no markup, no full stop."""
    text = re.sub(r":\w+:`~?([^`]*)`", r"\1", text).replace("`", "")
    return re.sub(r"\s+", " ", text).strip().rstrip(".")


def quotations(text: str) -> list[tuple[str, str]]:
    """Each sentence that is quoted with its page."""
    return [(plain(sentence), page) for sentence, page in _QUOTED.findall(text)]


def look_up(sentence: str, page: str) -> None:
    """Assert that a sentence stands where it says, as far as torch itself can tell."""
    if not page.startswith("torch."):
        assert page.split(",")[0] in PAGES, page
        return
    text = getdoc(attrgetter(page.removeprefix("torch."))(torch))
    assert text is not None and sentence in plain(text), (sentence, page)


@pytest.mark.parametrize("rule", WRITTEN, ids=lambda rule: rule.sentence)
def test_every_written_rule_is_quoted_or_observed(rule: Rule) -> None:
    """Below its sentence stands a quotation with its page, or `(observed)`."""
    assert rule.source, f"{rule.sentence} says neither what documents it nor (observed)"
    if rule.source != "(observed)":
        ((sentence, page),) = quotations(rule.source)
        look_up(sentence, page)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__qualname__)
def test_every_function_of_the_model_says_what_documents_it(function: Callable[..., Any]) -> None:
    """Its docstring has a quotation with its page, or the word `observed`, or both."""
    text = getdoc(function)
    assert text is not None
    found = quotations(text)
    assert found or "observed" in text, f"{function.__qualname__} says neither"
    for sentence, page in found:
        look_up(sentence, page)


@pytest.mark.parametrize(
    "kind", [kind for kind in Kind if kind not in PAST], ids=lambda kind: kind.value
)
def test_explanations_call_documented_what_the_rules_do(kind: Kind) -> None:
    """An error is observed in both places, or explained by a sentence that a rule quotes."""
    quoted = {
        sentence
        for rule in WRITTEN
        if rule.raises == kind.value
        for sentence, _ in quotations(rule.source)
    }
    assert bool(quoted) == (RULES[kind].source != OBSERVED)
    shown = plain(RULES[kind].sentence)
    assert not quoted or any(sentence in shown for sentence in quoted), (shown, quoted)
