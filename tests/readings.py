"""Whether what is read of a script is what torch does when it runs."""

from __future__ import annotations

import math
import random
import warnings
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from conformance.explain import trace_of_script
from conformance.records import Trace, TraceStorage


def disagreements(body: str) -> list[str]:
    """What a script's names are at its end by its reading, where torch has it otherwise."""
    trace = trace_of_script(body)
    space = ran(body)
    return [] if trace is None else [*_against(last(trace), space)]


def ran(body: str) -> dict[str, Any]:
    """What a body leaves behind."""
    space: dict[str, Any] = {"torch": torch, "nn": nn, "F": F, "math": math, "random": random}
    space |= {"DEVICE": "cpu", "facts": {}, "__name__": "program"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(body, "<body>", "exec"), space)
    return space


def last(trace: Trace) -> list[TraceStorage]:
    """The memories that are drawn at the end."""
    latest = {one.id: one for step in trace.steps for one in step.storages}
    return [one for one in latest.values() if one.names]


def _against(storages: list[TraceStorage], space: dict[str, Any]) -> list[str]:
    wrong, owners = [], dict[int, str]()
    for storage in storages:
        versions = {n: counter.after for counter in storage.counters for n in counter.names}
        for name in storage.names:
            tensor = space[name.name]
            address = tensor.untyped_storage()._cdata
            if owners.setdefault(address, storage.title) != storage.title:
                wrong.append(f"{name.name} shares the memory of {owners[address]}")
            seen = None if tensor.is_inference() else tensor._version
            if versions[name.name] != seen:
                wrong.append(f"{name.name} has version {seen}, drawn as {versions[name.name]}")
            if name.requires_grad != tensor.requires_grad:
                wrong.append(f"{name.name}.requires_grad is {tensor.requires_grad}")
        addresses = {space[name.name].untyped_storage()._cdata for name in storage.names}
        if len(addresses) > 1:
            wrong.append(f"{storage.title} is drawn as one memory, and is {len(addresses)}")
    return wrong
