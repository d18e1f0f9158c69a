"""Commands for single programs: draw some, check a file of them, print one as a script."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from conformance.examine import Examiner, Judged
from conformance.foretold import as_script
from conformance.oracle.machine import Machine
from conformance.outcome import done
from conformance.session import UsageError
from conformance.subjects import TensorSeen, open_subject
from strategies.build import build
from strategies.choices import Seeded
from strategies.draft import check as check_program
from strategies.printer import DEVICES, is_device
from strategies.program import Program, ProgramError, decode, encode

_WANTED = "name a file with a program as JSON in each line, or - for standard input"


@click.command()
@click.option(
    "--n", "count", default=1, show_default=True, type=click.IntRange(0), help="How many."
)
@click.option("--seed", default=0, show_default=True, help="Program i depends on it and i alone.")
def draw(count: int, seed: int) -> None:
    """Print random programs, one a line, as JSON."""
    for index in range(count):
        click.echo(encode(build(Seeded(seed, index))).decode())


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--subject", default="eager-cpu", show_default=True, help="Who runs the programs.")
@click.option("--in-process", is_flag=True, help="Run eager-cpu in this process.")
@click.option("--watched", is_flag=True, help="Look at every tensor's flags after every step.")
@click.option("--json", "json_", is_flag=True, help="Print one line of JSON a program.")
def check(
    file: Path,
    subject: str,
    in_process: bool,
    watched: bool,
    json_: bool,
) -> int:
    """Judge the programs of FILE (JSON Lines, or one program; - for standard input)."""
    programs = list(read_programs(file))
    words = set()
    with open_subject(subject, in_process=in_process) as opened:
        examiner = Examiner(opened, Machine(lambda text: click.echo(text, err=True)))
        for program in programs:
            judged = examiner.examine(program, watched=watched)
            click.echo(msgspec.json.encode(_as_json(judged)).decode() if json_ else _say(judged))
            words.add(judged.verdict)
    return 1 if "deviates" in words else 3 if "gave up" in words else 0


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--program", "number", type=click.IntRange(1), help="Which one, if FILE has several.")
@click.option("--device", default="cpu", show_default=True, help="Where the script's leaves live.")
@click.option("--short", is_flag=True, help="Check errors and gradients alone.")
def script(file: Path, number: int | None, device: str, short: bool) -> None:
    """Print the program of FILE as a torch script that runs by itself and prints a verdict.

    The script ends with 1 if torch deviates, and with 0 if it conforms, deviates as the register
    says, or cannot be held to anything.
    """
    if not is_device(device) or device.partition(":")[0] not in DEVICES:
        raise UsageError(
            f"There is no device {device!r} for a script; name one of {', '.join(DEVICES)}, where "
            "need be with a number, as in cuda:1."
        )
    programs = list(read_programs(file))
    if number is None and len(programs) > 1:
        raise UsageError(
            f"{file} holds {len(programs)} programs and a script is of one; choose it with "
            f"--program N, from 1 to {len(programs)}."
        )
    if number is not None and number > len(programs):
        raise UsageError(f"{file} has no program {number}: it holds {len(programs)}.")
    machine = Machine(lambda text: click.echo(text, err=True))
    chosen = programs[(number or 1) - 1]
    click.echo(as_script(chosen, machine, device=device, thorough=not short))


def read_programs(file: Path) -> Iterator[Program]:
    """Every program of a file, checked; raises ProgramError that names the file and the line."""
    name = "<stdin>" if str(file) == "-" else str(file)
    if str(file) == "-" and sys.stdin is None:
        raise ProgramError(f"{name} cannot be read (it is closed); {_WANTED}.")
    try:
        text = (sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()).decode()
    except OSError as error:
        raise ProgramError(f"{name} cannot be read ({error.strerror}); {_WANTED}.") from None
    except UnicodeDecodeError as error:
        raise ProgramError(f"{name} is not UTF-8 text ({error.reason}); {_WANTED}.") from None
    if not text.strip():
        raise ProgramError(f"{name} holds no program; `autograd-conformance draw` prints some.")
    lines = [(n, line) for n, line in enumerate(text.splitlines(), start=1) if line.strip()]
    whole = len(lines) > 1 and not _is_json(lines[0][1])
    for number, line in [(1, text)] if whole else lines:
        try:
            program = decode(line)
            check_program(program)
        except ProgramError as error:
            raise ProgramError(f"{name}:{number}: {error}") from None
        yield program


def _is_json(line: str) -> bool:
    try:
        msgspec.json.decode(line)
    except msgspec.DecodeError:
        return False
    return True


def _say(judged: Judged) -> str:
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


def _as_json(judged: Judged) -> dict[str, Any]:
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
