"""Put every claim to each faulty torch that it must catch, to see how soon it does.

`python -m tools.planted [--out FOLDER]` leaves the records of each fault in FOLDER/FAULT. They are
what `autograd-conformance report RECORDS --planted FOLDER/*` draws. The faults are those of
`tests/faults`, and the claims those that the suite's own tests put to them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from tests import test_program_claims, test_script_claims


def pairs() -> dict[str, list[str]]:
    """Fault -> the claims that must catch it."""
    found: dict[str, list[str]] = {}
    by_programs = [(claim, fault) for claim, fault, _, _ in test_program_claims.FAULTS]
    by_scripts = [(claim, fault) for claim, fault, _ in test_script_claims.FAULTS]
    for claim, fault in (*by_programs, *by_scripts):
        found.setdefault(fault, []).append(claim)
    return found


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--out",
    default="out/planted",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder.",
)
def main(out: Path) -> None:
    """Run each fault by its claims, with the profile `quick`, and with `default` where that finds
    nothing. A fault that neither finds makes the exit code 1.
    """
    missed = []
    for fault, claims in pairs().items():
        found = any(_finds(out / fault, fault, claims, profile) for profile in ("quick", "default"))
        click.echo(f"{fault}: {'found' if found else 'not found'}")
        if not found:
            missed.append(fault)
    sys.exit(1 if missed else 0)


def _finds(folder: Path, fault: str, claims: list[str], profile: str) -> bool:
    command = [sys.executable, "-m", "conformance.cli", "run", "--profile", profile, "--seed", "1"]
    command += ["--subject", f"device=cpu,import=tests.faults.{fault}"]
    command += ["--shrink-seconds", "5", "--out", str(folder)]
    command += [word for claim in claims for word in ("--claim", claim)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 1


if __name__ == "__main__":
    main()
