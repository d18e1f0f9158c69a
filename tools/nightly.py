"""The summary of a night in Markdown: how each torch did, and what changed since the last night.

`python -m tools.nightly TONIGHT BEFORE`, two folders that hold a folder of records for each torch.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from conformance.records import RecordError, RowVerdict, RunRecords, read_run, summarise

_COMPARE = (sys.executable, "-m", "conformance.cli", "compare")
_COUNTED: tuple[RowVerdict, ...] = (
    "deviates",
    "unexpectedly conforms",
    "known deviation",
    "conforms",
    "not exercised",
)
"""Verdicts that have a column of their own; all others are put together in the last one."""
_RECORDS = "records-"


def summary(tonight: Path, before: Path) -> str:
    """The whole page; a torch whose records are missing or broken is a row that says so."""
    folders = sorted(folder for folder in tonight.glob("*") if folder.is_dir())
    lines = [
        "## Torch versions",
        "",
        f"| | torch | {' | '.join(_COUNTED)} | no verdict |",
        "| --- | --- |" + " ---: |" * (len(_COUNTED) + 1),
        *(_row(folder) for folder in folders),
        "",
        "## Since the last night",
    ]
    for folder in folders:
        lines += ["", f"### {_name(folder)}", "", changes(before / folder.name, folder)]
    if not folders:
        lines += ["", f"There are no records in `{tonight.name}`."]
    return "\n".join(lines) + "\n"


def _name(folder: Path) -> str:
    return folder.name.removeprefix(_RECORDS)


def _row(folder: Path) -> str:
    try:
        run = read_run(folder)
    except RecordError as error:
        return f"| {_name(folder)} | {_cell(str(error))} |" + " |" * (len(_COUNTED) + 1)
    counts = Counter(row.verdict for row in summarise(run))
    numbers = [counts.pop(verdict, 0) for verdict in _COUNTED]
    cells = " | ".join(str(number) for number in (*numbers, counts.total()))
    return f"| {_name(folder)} | {_cell(_torches(run))} | {cells} |"


def _torches(run: RunRecords) -> str:
    """The torch of each subject, or why it was not exercised."""
    subjects = run.run.subjects if run.run is not None else ()
    return ", ".join(s.torch or f"{s.name}: {s.status}, {s.reason}" for s in subjects)


def _cell(text: str) -> str:
    """A text in one cell of a table, whatever stands in it."""
    plain = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
    return plain.replace("<", "&lt;").replace("`", "\\`")


def changes(before: Path, now: Path) -> str:
    """What the command `compare` says in Markdown, or why there is nothing to compare."""
    if not before.exists():
        return "No records of the last night."
    done = subprocess.run(
        (*_COMPARE, str(before), str(now), "--markdown"),
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout if done.returncode in (0, 1) else done.stderr).strip()


def main(arguments: list[str]) -> int:
    """Print the summary; anything but two folders is one sentence, and 2."""
    folders = [Path(argument) for argument in arguments]
    if len(folders) != 2 or not folders[0].is_dir():
        print(
            "Error: name the folder of this night's records and that of the last.", file=sys.stderr
        )
        return 2
    print(summary(*folders), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
