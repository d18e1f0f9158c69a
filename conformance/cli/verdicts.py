"""How commands tell of a judged program: in words, and as JSON."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from conformance.outcome import done
from conformance.subjects import TensorSeen
from conformance.verdict import Judged
from strategies.program import encode


def say(judged: Judged) -> str:
    """The verdict with its reason, and a line for each thing besides."""
    head = f"{judged.program.id}  {judged.verdict}" + (
        f": {judged.reason}" if judged.reason else ""
    )
    return "\n".join([head, *(f"  {line}" for line in details(judged))])


def details(judged: Judged) -> list[str]:
    """What is to be said of a program besides its verdict and the reason of that."""
    did = done(judged) if judged.verdict == "unspecified" else ""
    lines = [f"the subject {did}"] if did else []
    lines += [f"{d.entry.id}: {d.entry.title}" for d in judged.deviations]
    lines += [f"{finding.kind}: {finding.message}" for finding in judged.findings]
    if judged.verdict == "conforms" and judged.prediction.raises is not None:
        raises = judged.prediction.raises
        lines.append(f"it raises at step {raises.step + 1}, as it must: {raises.why}")
    return lines


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _numbers(array: Any) -> Any:
    nested = np.asarray(array, dtype=np.float64).tolist()
    return _each(nested)


def _each(value: Any) -> Any:
    return [_each(item) for item in value] if isinstance(value, list) else _number(value)


def as_json(judged: Judged) -> dict[str, Any]:
    """One judged program by the contract of the command line."""
    raises = judged.prediction.raises
    seen = judged.observation
    tensors = {n: v for n, v in seen.values.items() if isinstance(v, TensorSeen)}
    return {
        "program": msgspec.Raw(encode(judged.program)),
        "verdict": judged.verdict,
        "kind": judged.gravest.kind if judged.findings else None,
        "deviations": [d.entry.id for d in judged.deviations],
        "reason": judged.reason,
        "findings": [
            {"kind": f.kind, "message": f.message, "step": f.step} for f in judged.findings
        ],
        "prediction": {
            "raises": raises
            and {"step": raises.step, "kind": raises.kind.value, "why": raises.why},
            "unspecified": judged.prediction.left_open,
            "flags": {n: _flags(f) for n, f in judged.prediction.flags.items()},
            "graded": judged.prediction.graded,
        },
        "oracle": {
            "values": {n: _numbers(e.values) for n, e in judged.answer.values.items()},
            "gradients": {
                n: _numbers(e.values) if judged.prediction.graded.get(n) else None
                for n, e in judged.answer.gradients.items()
            },
            "unspecified": judged.answer.unspecified,
        },
        "observation": {
            "error": seen.error and {"class": seen.error.class_name, "message": seen.error.message},
            "step": judged.raised_step(),
            "kind": judged.raised_kind(),
            "crash": seen.crash,
            "hang": seen.hang,
            "values": {n: _numbers(t.array()) for n, t in tensors.items()},
            "gradients": {
                leaf.name: _numbers(grad.array()) if (grad := tensors[leaf.name].grad) else None
                for leaf in judged.program.leaves
                if leaf.name in tensors
            },
            "flags": {n: msgspec.to_builtins(t.flags) for n, t in tensors.items()},
        },
    }


def _flags(flags: Any) -> dict[str, Any]:
    return {
        "requires_grad": flags.requires_grad,
        "version": flags.version,
        "is_leaf": flags.is_leaf,
        "grad_fn": flags.grad_fn,
        "unreadable": flags.unreadable.value if flags.unreadable else None,
    }
