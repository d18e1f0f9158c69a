"""The findings of docs/findings.md: reads them, runs their scripts, and writes what is derived.

`python -m tools.findings` writes the table at the top anew. With `--check` it writes nothing, and
ends with 1 if the table is not the one that belongs there. Every `--python INTERPRETER` runs those
scripts under the torch of that interpreter whose section does not name its version yet.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from packaging.version import Version

PAGE = Path(__file__).parents[1] / "docs" / "findings.md"
SEVERITIES = (
    "silent wrong gradient",
    "silent wrong value",
    "wrong flag or alias",
    "missing error",
    "crash",
    "spurious error",
)
"""Gravest first, as the table is sorted."""
FIELDS = ("Severity", "Subject", "Cause", "Right", "Versions", "Upstream")
ENDINGS = ("deviates", "conforms")
UNCLEAR = "cannot tell"
LINES = 12
"""A script has no more, so that it can be read at once."""
COMPILERS = ("g++", "clang++", "c++")

_MARKS = ("<!-- table: begin -->\n", "<!-- table: end -->\n")
_APART = Path(__file__).with_name("apart.py")


@dataclass(frozen=True, slots=True)
class Finding:
    """One section of the page."""

    title: str
    fields: Mapping[str, str]
    script: str

    @property
    def compiled_by(self) -> str:
        """Which backend of torch.compile the script needs; empty if none."""
        found = re.fullmatch(r"torch\.compile \((\w+)\)", self.fields.get("Subject", ""))
        return found[1] if found else ""

    @property
    def needs_compiler(self) -> bool:
        """Whether the script compiles C++: torch.compile with its own default backend."""
        return "torch.compile" in self.script and "backend=" not in self.script


def findings(page: str) -> list[Finding]:
    """The sections of the page, in order."""
    return [_finding(section) for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]]


def _finding(section: str) -> Finding:
    title, body = section.split("\n", 1)
    scripts = re.findall(r"^```python\n(.*?)^```$", body, re.DOTALL | re.MULTILINE)
    fields = re.findall(r"^- (\w+):[ ]?(.*)$", re.sub(r"^```.*", "", body, flags=re.DOTALL), re.M)
    return Finding(title, dict(fields), "".join(scripts))


def table(found: Iterable[Finding]) -> str:
    """Severity, subject and title of each, gravest first; of one severity in the page's order."""
    order = sorted(found, key=lambda one: SEVERITIES.index(one.fields["Severity"]))
    lines = ["| severity | subject | |", "| --- | --- | --- |"]
    lines += [_row(one) for one in order]
    return "\n".join(lines) + "\n"


def _row(one: Finding) -> str:
    cells = (one.fields["Severity"], one.fields["Subject"], f"[{one.title}](#{anchor(one.title)})")
    return f"| {' | '.join(cells)} |"


def anchor(title: str) -> str:
    """The fragment that the heading gets where Markdown is shown."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def with_table(page: str) -> str:
    """The page with the table that belongs to its sections."""
    begin, end = _MARKS
    head, rest = page.split(begin)
    tail = rest.split(end)[1]
    return head + begin + table(findings(page)) + end + tail


def compiler() -> str | None:
    """The C++ compiler that inductor would find, or nothing."""
    return next((path for name in COMPILERS if (path := shutil.which(name))), None)


def run(found: Sequence[Finding], python: str = sys.executable) -> tuple[str, dict[str, str]]:
    """The torch of an interpreter, and what each script printed under it, by title."""
    scripts = {one.title: one.script for one in found}
    done = subprocess.run(
        [python, str(_APART)],
        input=json.dumps(scripts),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seen = json.loads(done.stdout)
    return seen["torch"], seen["outputs"]


def ending(output: str) -> str:
    """What a script came to: the last line, if it is one of the endings."""
    last = output.strip().rpartition("\n")[2]
    return last if last in ENDINGS else UNCLEAR


def versions(endings: Mapping[str, str]) -> str:
    """The line of a section that says on which torch its script ended how."""
    ordered = sorted(endings, key=Version)
    groups = {how: [v for v in ordered if endings[v] == how] for how in (*ENDINGS, UNCLEAR)}
    said = {"deviates": "deviates on", "conforms": "conforms on", UNCLEAR: "cannot tell on"}
    return "; ".join(f"{said[how]} {', '.join(names)}" for how, names in groups.items() if names)


def stated(line: str) -> dict[str, str]:
    """The endings that such a line states, by version."""
    return {
        version: how
        for part in line.split("; ")
        for how in (*ENDINGS, UNCLEAR)
        if part.startswith(how)
        for version in part.removeprefix(f"{how} on ").split(", ")
    }


def with_versions(page: str, pythons: Sequence[str]) -> str:
    """The page with the versions of those interpreters in every section."""
    found = findings(page)
    seen: dict[str, dict[str, str]] = {one.title: stated(one.fields["Versions"]) for one in found}
    for python in pythons:
        version = Version(run([], python)[0]).base_version
        missing = [one for one in found if version not in seen[one.title]]
        for title, output in run(missing, python)[1].items():
            seen[title][version] = ending(output)
    for one in found:
        section = f"\n## {one.title}\n"
        at = page.index("- Versions:", page.index(section))
        page = page[:at] + f"- Versions: {versions(seen[one.title])}" + page[page.index("\n", at) :]
    return page


@click.command(help=__doc__)
@click.option("--check", is_flag=True)
@click.option("--python", "pythons", multiple=True)
def main(check: bool, pythons: tuple[str, ...]) -> None:
    """Write the table, and the versions if interpreters are given."""
    page = PAGE.read_text(encoding="utf-8")
    new = with_table(with_versions(page, pythons) if pythons else page)
    if check and new != page:
        sys.exit("the table of docs/findings.md is out of date: python -m tools.findings")
    if not check:
        PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
