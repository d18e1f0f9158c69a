"""The planted faults put to what people would use instead, beside what the suite made of them.

`python -m benchmarks.peers --ours out/faults` needs torch and the dependency group `peers`. Each
fault is tried in a process of its own, forked from one in which all is imported:

- *gradcheck*: `torch.autograd.gradcheck` in float64 over the samples of torch's own OpInfo, of the
  function, the method and the in-place method on a clone, as torch's gradient tests call it;
- *hypothesis-torch*: tensors of its strategy, of which each operation is done in place and plain,
  and values and gradients must be equal.

Both are given only the operations that a fault touches, where it touches some of theirs, and a list
of common ones else, and all the time that they need. What fails on a sound torch is left out.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from benchmarks.peer_samples import gradchecks, refreshed
from conformance.planted import Tried, read_faults, read_tried

FAULTS = "tests.faults"
FOLDER = Path(__file__).parents[1] / "tests" / "faults"
COMMON = "add mul div exp sigmoid nn.functional.relu".split()
"""Operations for faults that touch none by name."""
UNARY = "exp sin cos tanh sigmoid neg abs sqrt square floor relu zero".split()
BINARY = "add sub mul div copy".split()
_PLACES = (torch.Tensor, torch, F)
_EXAMPLES = 100
"""Of each operation: what Hypothesis tries by default."""
_LIMIT_S = 300.0
_MOST = 6
"""Operations of a fault that touches more: as many as there are common ones, those first."""

Check = Callable[[Sequence[str]], Iterator[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a peer made of a fault, by which check and after how many, on which operations.

    `restricted` says that these are the ones that the fault touches.
    """

    caught: bool
    seconds: float
    checks: int = 0
    by: str = ""
    names: Sequence[str] = ()
    restricted: bool = False


def touched(fault: str) -> list[str]:
    """Import a fault; the operations whose functions or methods it replaces."""
    before = [dict(vars(place)) for place in _PLACES]
    importlib.import_module(f"{FAULTS}.{fault}")
    names = {
        name.rstrip("_")
        for place, known in zip(_PLACES, before, strict=True)
        for name, value in vars(place).items()
        if known.get(name) is not value and not name.startswith("__")
    }
    return sorted(names)


# -- hypothesis-torch


def in_place_is_plain(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each operation in place and plain: values and gradients; (operation, what differs)."""
    for name in names:
        short = name.rpartition(".")[2]
        if short in (*UNARY, *BINARY):
            yield short, _property(short)
    if "relu" in (name.rpartition(".")[2] for name in names):
        yield "F.relu", _property("F.relu")


def _property(name: str) -> str:
    """What the first failing example shows, or nothing."""
    strategies = importlib.import_module("hypothesis_torch")
    dtypes = st.sampled_from((torch.float64, torch.float32, torch.float16))
    shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
    one, other = (
        strategies.tensor_strategy(
            dtypes if first else torch.float64,
            shapes if first else (2,),
            elements=st.floats(-8, 8, width=16),
            device=torch.device("cpu"),
            layout=torch.strided,
        )
        for first in (True, False)
    )

    @settings(max_examples=_EXAMPLES, deadline=None, database=None, derandomize=True)
    @given(one, other)
    def same(x: Any, numbers: Any) -> None:
        y = numbers.sum().to(x.dtype).expand(x.shape).clone()
        plain, written = (_gradient(name, x, y, in_place) for in_place in (False, True))
        for what, wanted, seen in zip(("value", "gradient"), plain, written, strict=True):
            assert torch.equal(wanted.nan_to_num(7.0), seen.nan_to_num(7.0)), what

    # Whatever it raises is a failure that its user sees.
    try:
        same()
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return ""


def _gradient(name: str, x: Any, y: Any, in_place: bool) -> tuple[Any, Any]:
    """The value and the gradient of one operation on a copy of x."""
    leaf = x.detach().clone().requires_grad_()
    target = leaf.clone()
    if name == "F.relu":
        result = F.relu(target, inplace=in_place)
    elif name in ("zero", "copy") and not in_place:
        result = target * 0 + (y if name == "copy" else 0)
    else:
        call = getattr(target, f"{name}_" if in_place else name)
        result = call(y) if name in BINARY else call()
    if in_place and result.data_ptr() != target.data_ptr():
        raise AssertionError("written elsewhere")
    seen = target if in_place else result
    seen.sum().backward()
    return seen.detach(), leaf.grad


# -- one fault in a process of its own


PEERS: dict[str, Check] = {"gradcheck": gradchecks, "hypothesis-torch": in_place_is_plain}


@dataclass(slots=True)
class Peer:
    """A peer by its name; the checks that fail on a sound torch say nothing about a fault."""

    name: str
    left_out: set[str] = field(default_factory=set)

    def tries(self, fault: str) -> Outcome:
        """What it makes of a fault, and which of its checks says so."""
        while True:
            outcome = Outcome(**_apart(_put, self.name, fault, tuple(self.left_out)))
            if not outcome.caught or not outcome.names:
                return outcome
            failing = set(_apart(_sound, self.name, outcome.names).get("failing", ()))
            if outcome.by.partition(": ")[0] not in failing:
                return outcome
            self.left_out |= failing


def _apart(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What the work gives in a process forked from this one."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(
        target=_child, args=(there, work, arguments)
    )
    process.start()
    there.close()
    try:
        if here.poll(_LIMIT_S):
            answer: dict[str, Any] = json.loads(here.recv_bytes())
            return answer
        return {"caught": False, "seconds": _LIMIT_S, "by": "no answer in time"}
    except EOFError:
        return {"caught": True, "seconds": 0.0, "by": "the process ended"}
    finally:
        process.kill()
        process.join()


def _child(there: Connection, work: Callable[..., dict[str, Any]], given: tuple[Any, ...]) -> None:
    there.send_bytes(json.dumps(work(*given)).encode())


def _put(peer: str, fault: str, left_out: Sequence[str]) -> dict[str, Any]:
    """The first check that fails on a torch with the fault."""
    known = [name for name in touched(fault) if name in _known(peer)]
    refreshed()
    names = list(dict.fromkeys((*filter(known.count, COMMON), *known)))[:_MOST] or COMMON
    started, count = time.monotonic(), 0
    for check, failure in PEERS[peer](names):
        count += 1
        if failure and check not in left_out:
            by = f"{check}: {failure}"[:200]
            break
    else:
        by = ""
    seconds = time.monotonic() - started
    return asdict(Outcome(bool(by), seconds, count, by, names, bool(known)))


def _sound(peer: str, names: Sequence[str]) -> dict[str, Any]:
    """The checks that fail on the torch as it is."""
    return {"failing": [check for check, failure in PEERS[peer](names) if failure]}


def _known(peer: str) -> set[str]:
    if peer != "gradcheck":
        return {*UNARY, *BINARY}
    database = importlib.import_module("torch.testing._internal.common_methods_invocations").op_db
    return {op.name.rpartition(".")[2] for op in database}


# -- the table


def table(seen: dict[str, dict[str, Outcome]], ours: Sequence[Tried]) -> Iterator[str]:
    """A line for each fault: how many seconds it took until it was caught, or that it was not."""
    yield f"| fault | here | {' | '.join(PEERS)} |"
    yield "| --- | --- |" + " --- |" * len(PEERS)
    for fault, outcomes in seen.items():
        caught = [one for one in ours if one.fault == fault and one.caught]
        soonest = min((one.seconds for one in caught), default=None)
        own = f"{soonest:.1f} s" if soonest is not None else "not caught"
        yield f"| `{fault}` | {own} | " + " | ".join(map(_cell, outcomes.values())) + " |"
    totals = [sum(o[peer].caught for o in seen.values()) for peer in PEERS]
    own_total = len({one.fault for one in ours if one.caught} & set(seen))
    yield f"| of {len(seen)} | {own_total} | {' | '.join(map(str, totals))} |"


def _cell(outcome: Outcome) -> str:
    if not outcome.caught:
        return outcome.by or f"no, {outcome.checks} checks in {outcome.seconds:.1f} s"
    return f"{outcome.seconds:.1f} s"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--ours", type=click.Path(path_type=Path), help="What `faults --out` left.")
@click.option("--fault", "wanted", multiple=True, help="Only this fault; may be repeated.")
@click.option(
    "--out", default="out/peers.jsonl", show_default=True, type=click.Path(path_type=Path)
)
def main(ours: Path | None, wanted: tuple[str, ...], out: Path) -> None:
    """Put each planted fault of an eager torch to the peers; what OUT holds is not tried again."""
    torch.set_num_threads(1)
    importlib.import_module("torch.testing._internal.common_methods_invocations")
    importlib.import_module("hypothesis_torch")
    faults = [name for name, fault in read_faults(FOLDER).items() if fault.mode == "eager"]
    out.parent.mkdir(parents=True, exist_ok=True)
    known = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    seen = {one["fault"]: {p: Outcome(**one[p]) for p in PEERS} for one in known}
    peers = {name: Peer(name) for name in PEERS}
    for fault in (name for name in faults if not wanted or name in wanted):
        if fault in seen:
            continue
        seen[fault] = {name: peer.tries(fault) for name, peer in peers.items()}
        with out.open("a") as file:
            row = {peer: asdict(outcome) for peer, outcome in seen[fault].items()}
            file.write(json.dumps({"fault": fault, **row}) + "\n")
        click.echo(f"{fault}: {', '.join(map(_cell, seen[fault].values()))}", err=True)
    click.echo("\n".join(table(seen, read_tried(ours) if ours is not None else [])))


if __name__ == "__main__":
    main()
