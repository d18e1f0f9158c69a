"""The commands, and the place where an error of usage becomes one sentence and exit code 2."""

from __future__ import annotations

import sys

import click

from conformance.claims.claim import UnknownClaim
from conformance.cli.explain import explain
from conformance.cli.lists import claims, ops, subjects
from conformance.cli.programs import check, draw, script
from conformance.cli.run import report, run
from conformance.deviations import RegisterError
from conformance.records import RecordError
from conformance.session import UsageError, installed
from conformance.subjects import SubjectError
from strategies.program import ProgramError

USAGE = (UsageError, UnknownClaim, SubjectError, ProgramError, RecordError, RegisterError)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="Exit codes: 0 no unregistered deviation, 1 deviates, 2 usage, 3 suite error, "
    "130 interrupted.",
)
@click.version_option(installed("autograd-conformance"), prog_name="autograd-conformance")
def commands() -> None:
    """Judge what a torch does with gradients when tensors are overwritten.

    Random programs run on a subject (an interpreter with torch, on a device) and are judged against
    a model of the documented rules and a jax oracle of values and gradients.
    """


for command in (run, report, claims, subjects, ops, draw, check, script, explain):
    commands.add_command(command)


def main() -> None:
    """Run the command line; usage errors are one sentence on stderr and exit code 2."""
    try:
        arguments = sys.argv[1:] or ["--help"]
        code = commands(arguments, prog_name="autograd-conformance", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("Interrupted; every verdict reached so far is kept.", err=True)
        sys.exit(130)
    except KeyboardInterrupt:
        click.echo("Interrupted; every verdict reached so far is kept.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        click.echo(f"Error: {_sentence(error)}", err=True)
        sys.exit(2)
    except USAGE as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    sys.exit(code or 0)


def _sentence(error: click.ClickException) -> str:
    """What click has to say, in one sentence that ends with where to read on."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    where = context.command_path if context is not None else "autograd-conformance"
    return f"{error.format_message().rstrip('.')}; see `{where} --help`."
