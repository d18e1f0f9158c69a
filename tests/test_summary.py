"""What a run prints when it is over, from its records alone."""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path

import click
import pytest
from rich.console import Console

from conformance.cli.run import run
from conformance.cli.summary import print_summary
from conformance.records import (
    Claim,
    Deviation,
    End,
    Finish,
    Host,
    Record,
    RecordWriter,
    Run,
    Start,
    Subject,
    Verdict,
    read_run,
)

TITLE = "Writes are seen"


def head(profile: str = "default", claim: str = "a-claim", title: str = TITLE) -> Run:
    """The first line of a run of one claim on one subject."""
    return Run(
        "r1",
        "2026-01-01",
        "0.1",
        profile,
        77,
        f"autograd-conformance run --claim {claim} --seed 77",
        Host("3.12", "Linux"),
        (Subject("device=cpu,import=a b", "2.13.0"),),
        (Claim(claim, title, "They are."),),
    )


def printed(folder: Path, *records: Record) -> str:
    """The summary of these records on a terminal of 80 columns."""
    with RecordWriter(folder) as writer:
        for record in records:
            writer.write(record)
    out = io.StringIO()
    print_summary(read_run(folder), folder / "report.html", Console(file=out, width=80))
    return out.getvalue()


def words(text: str) -> str:
    """A text however it was broken into lines."""
    return " ".join(text.split())


PLACE = ("a-claim", "device=cpu,import=a b")


def deviating(*, minimal: bool) -> list[Record]:
    """The lines of a claim that a program refutes."""
    verdict = Verdict(
        *PLACE, "0" * 16, "deviates", "wrong value", "x is 1 and should be 2", minimal=minimal
    )
    return [Start(*PLACE, 7), verdict, Finish(*PLACE, "deviates", {"deviates": 1})]


def test_findings_have_titles(tmp_path: Path) -> None:
    """A finding is told of by the claim's title, not by its id."""
    said = printed(tmp_path, head("quick", "a-claim"), *deviating(minimal=True))
    assert "device=cpu,import=a b, Writes are seen\n  wrong value: x is 1 and should be 2\n" in said
    assert "a-claim" not in said and "not minimal" not in said


def test_unfinished_shrinking_says_how_to_go_on(tmp_path: Path) -> None:
    """The command is whole, on a line of its own, and means the same subject, claim and seed."""
    said = printed(tmp_path, head(), *deviating(minimal=False))
    assert "  not minimal: shrinking ran out of its time; this goes on:\n" in said
    (line,) = (line for line in said.splitlines() if "--shrink-seconds" in line)
    call = shlex.split(line)
    assert call[:2] == ["autograd-conformance", "run"]
    given = run.make_context("run", call[2:]).params
    assert given["subjects"] == ("device=cpu,import=a b",) and given["claims"] == ("a-claim",)
    assert (given["seed"], given["profile"]) == (77, "default") and given["shrink_s"] > 20
    assert isinstance(run, click.Command)


def test_seed_is_printed(tmp_path: Path) -> None:
    """A profile that draws at random says how to repeat the run."""
    said = printed(tmp_path / "random", head("default"))
    assert "The seed is 77; this repeats the run:" in said
    assert "  autograd-conformance run --claim a-claim --seed 77\n" in said
    assert "seed" not in printed(tmp_path / "quick", head("quick")).partition("report")[0]


def test_resumed_run_has_the_claims_of_all_its_parts(tmp_path: Path) -> None:
    """A second part with another claim adds its title, and its command to those that repeat all."""
    other = ("other-claim", PLACE[1])
    said = printed(
        tmp_path,
        head(),
        *(Start(*PLACE, 7), Finish(*PLACE, "conforms", {"conforms": 3})),
        head(claim="other-claim", title="Another title"),
        *(Start(*other, 7), Finish(*other, "conforms", {"conforms": 4})),
    )
    assert re.search(rf"^{TITLE} +conforms +3$", said, re.MULTILINE)
    assert re.search(r"^Another title +conforms +4$", said, re.MULTILINE)
    assert "other-claim --seed 77" in said and "a-claim --seed 77" in said


def test_what_was_not_decided_says_why(tmp_path: Path) -> None:
    """Claims that gave up for one reason are told of together."""
    reason = "the worker ended before it said hello"
    said = printed(
        tmp_path, head("quick"), Start(*PLACE, 7), Finish(*PLACE, "gave up", note=reason)
    )
    assert f"device=cpu,import=a b, {TITLE}\n  gave up: {reason}\n" in said


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("still", "1 known deviation is registered"),
        ("unexpectedly conforms", "where the register says: A title (it shows more) take the"),
        ("deviates", "deviates in another way than the register says: A title (one) more"),
        ("not exercised", "of the register: A title not exercised: more"),
    ],
)
def test_entry_of_the_register(tmp_path: Path, status: str, expected: str) -> None:
    """Each status of an entry has words of its own; only one that shows is a known deviation."""
    entry = Deviation(
        *("one", "wrong flag", "a-claim", "A title", "A cause", PLACE[1], status),  # type: ignore[arg-type]
        note="more",
    )
    said = words(printed(tmp_path, head("quick"), entry, End("2026-01-01", 1.0, 0)))
    assert expected in said
    assert ("known deviation" in said) == (status == "still")


def test_prose_fits_the_terminal(tmp_path: Path) -> None:
    """What is read is wrapped at 80 columns; only what is copied stays on one line."""
    said = printed(tmp_path, head(), *deviating(minimal=False))
    long = [line for line in said.splitlines() if len(line.rstrip()) > 80]
    assert all("autograd-conformance run" in line or "report.html" in line for line in long)
