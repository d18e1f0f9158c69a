"""docs/transforms.md: the modes of subjects, written from the table that runs them.

`python -m tools.transforms` writes it anew; a test fails where it is not what the table says.
"""

from __future__ import annotations

from pathlib import Path

from conformance.deviations import register
from conformance.transform_causes import CAUSES
from strategies.transforms import DERIVED, LAWS, TRANSFORMS, Transform

PAGE = Path(__file__).parents[1] / "docs" / "transforms.md"
_HEAD = """\
# Ways to run a program

A subject may run programs otherwise than plainly: `autograd-conformance run --subject MODE`.
Each mode has a law, which says what must hold, and a page of torch's documentation that promises
it. This page is made from [the table that runs them](../strategies/transforms.py) by
`python -m tools.transforms`.

| mode | acts on | law | promised by |
| --- | --- | --- | --- |
"""
_LAWS = """
## The laws

| law | what must hold |
| --- | --- |
"""
_SETUP = """
## How each is written

What acts on functions defines `transformed`, which the functions of a program are decorated with;
what acts on backward calls defines `called`. The script of a program in a mode begins with these
lines.
"""


def acts_on(transform: Transform) -> str:
    """The parts of a program that are run otherwise."""
    if transform.law in DERIVED:
        return "what is differentiated"
    if transform.around:
        return "the whole program"
    return "functions" + (" and backward calls" if transform.on_calls else "")


def page() -> str:
    """The whole page."""
    rows = [
        f"| `{one.name}` | {acts_on(one)} | {one.law} "
        f"| {one.sentence} ([{_title(one)}]({one.source})) |\n"
        for one in TRANSFORMS.values()
    ]
    laws = [f"| {name} | {text} |\n" for name, text in LAWS.items()]
    return "".join([_HEAD, *rows, _LAWS, *laws, _SETUP, *map(_written, TRANSFORMS.values())])


def _title(transform: Transform) -> str:
    return transform.source.rpartition("/")[2].replace(".html", "").partition("#")[0]


def _written(transform: Transform) -> str:
    around = f"\nwith {transform.around}:" if transform.around else ""
    refuses = ", ".join(f"`{part}`" for part in transform.refuses)
    limits = f"\nNot exercised where it says: {refuses}.\n" if refuses else ""
    if transform.recorded_whole:
        limits += f"\nNot exercised by the page's word: {transform.recorded_whole}.\n"
    known = [
        f"`{d.entry.id}`"
        for d in register()
        if d.entry.quirk in CAUSES and d.concerns(f"{transform.name}-cpu")
    ]
    registered = f"\nRegistered: {', '.join(known)}.\n" if known else ""
    text = f"{transform.setup}{around}".strip()
    return f"\n### {transform.name}\n\n```text\n{text}\n```\n{limits}{registered}"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
