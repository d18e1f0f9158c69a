"""The commands, and the place where an error of usage becomes one sentence and exit code 2."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback

import click

from conformance.claims.claim import UnknownClaim
from conformance.cli.faults import sentence_of, wants_traceback
from conformance.cli.lazily import LazyGroup
from conformance.corpus.schema import CorpusError
from conformance.deviations import RegisterError
from conformance.interrupts import INTERRUPTED
from conformance.records import RecordError
from conformance.subjects import SubjectError
from conformance.usage import UsageError, installed
from reports.comparison import NothingToCompare
from strategies.program import ProgramError

USAGE = (
    UsageError,
    UnknownClaim,
    SubjectError,
    ProgramError,
    RecordError,
    RegisterError,
    CorpusError,
    NothingToCompare,
)

_MODULES = {
    "affected": "conformance.cli.affected",
    "bisect": "conformance.cli.bisect",
    "check": "conformance.cli.programs",
    "claims": "conformance.cli.lists",
    "compare": "conformance.cli.compare",
    "draw": "conformance.cli.programs",
    "explain": "conformance.cli.explain",
    "faults": "conformance.cli.planted",
    "fuzz": "conformance.cli.fuzz",
    "ops": "conformance.cli.lists",
    "record": "conformance.cli.recording",
    "replay": "conformance.cli.replaying",
    "report": "conformance.cli.run",
    "run": "conformance.cli.run",
    "script": "conformance.cli.programs",
    "subjects": "conformance.cli.lists",
}
"""Command -> the module that defines it."""


@click.group(
    cls=LazyGroup,
    modules=_MODULES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="Exit codes: 0 no unregistered deviation, 1 deviates or a regression, 2 usage, 3 suite "
    "error, 130 interrupted, 141 nobody reads the output.",
)
@click.version_option(installed("autograd-conformance"), prog_name="autograd-conformance")
def commands() -> None:
    """Judge what a torch does with gradients when tensors are overwritten.

    Random programs run on a subject (an interpreter with torch, on a device) and are judged against
    a model of the documented rules and a jax oracle of values and gradients.
    """


def main() -> None:
    """Run the command line; what cannot be done is one sentence on stderr, and an exit code."""
    sys.exit(_run(sys.argv[1:] or ["--help"]))


def _run(arguments: list[str]) -> int:
    """The exit code of a command; click's own main would end with 1 where a pipe is closed."""
    try:
        return _invoked(arguments)
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _failed("Interrupted.", INTERRUPTED)
    except click.ClickException as error:
        return _failed(f"Error: {_sentence(error)}", 2)
    except USAGE as error:
        return _failed(f"Error: {error}", 2)
    except BrokenPipeError:
        _give_up_output()
        return _CLOSED_PIPE
    # The outermost boundary. Python ends with 1 after a fault of ours, and 1 says that torch
    # deviates: so everything is caught here, and here alone.
    except Exception as error:  # noqa: BLE001
        if isinstance(error, OSError) and error.filename is None and error.errno in _UNWRITTEN:
            _give_up_output()
            return _failed(f"Error: The output cannot be written ({error.strerror}).", 2)
        if wants_traceback():
            traceback.print_exception(type(error), error, error.__traceback__)
            click.echo(getattr(error, "traceback", ""), err=True)
        return _failed(f"Error: {sentence_of(error)}", 3)


_CLOSED_PIPE = 128 + 13
"""As the shell says of what a closed pipe ended: no verdict on torch."""
_UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


def _invoked(arguments: list[str]) -> int:
    try:
        with commands.make_context("autograd-conformance", arguments) as context:
            code = commands.invoke(context)
    except click.exceptions.Exit as end:
        code = end.exit_code
    if sys.stdout is not None:
        sys.stdout.flush()
    return code or 0


def _failed(text: str, code: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        click.echo(text, err=True)
    return code


def _give_up_output() -> None:
    """Let what is left of the output go nowhere: Python would try, and complain, at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _sentence(error: click.ClickException) -> str:
    """What click has to say, in one sentence that ends with where to read on."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    where = context.command_path if context is not None else "autograd-conformance"
    return f"{error.format_message().rstrip('.')}; see `{where} --help`."
