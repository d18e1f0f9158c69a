"""The command `faults`: does each claim catch what it must, and how soon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import click
from rich.table import Table

from conformance import planted
from conformance.claims.catalogue import CATALOGUE, TRANSFORMED, find_claim
from conformance.oracle.machine import Machine
from conformance.planted import Bench, By, Fault, Tried
from conformance.progress import Output, Remarks
from conformance.session import find_profile
from conformance.usage import UsageError

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CAUGHT, _MISSED, _UNTRIED = "x", "-", "."


@click.command()
@click.option("--fault", "names", multiple=True, help="Only this fault; may be repeated.")
@click.option("--claim", "claims", multiple=True, help="Only this claim; may be repeated.")
@click.option(
    "--every-claim", is_flag=True, help="Put each fault to all claims, which takes hours."
)
@click.option("--seed", "seeds", type=int, multiple=True, help="May be repeated.  [default: 1 2 3]")
@click.option("--profile", default="default", show_default=True, help="quick, default or nightly.")
@click.option(
    "--shrink-seconds",
    "shrink_s",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="Time to shrink what was found.",
)
@click.option(
    "--folder",
    default="tests/faults",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Modules that plant faults, and their table; a path from here.",
)
@click.option(
    "--out",
    default="out/faults",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where results and records go.",
)
@click.option("--resume", is_flag=True, help="Go on with what the folder holds.")
@click.option("--markdown", is_flag=True, help="Print the table for a document.")
def faults(
    names: tuple[str, ...],
    claims: tuple[str, ...],
    every_claim: bool,
    seeds: tuple[int, ...],
    profile: str,
    shrink_s: float,
    folder: Path,
    out: Path,
    resume: bool,
    markdown: bool,
) -> int:
    """Put each fault that is planted in a torch to the claims that must catch it.

    Prints the matrix of faults and claims, and for each pair how many programs and seconds it took,
    and how small the program is that was found. Ends with 1 if a fault was not caught by a claim
    that must catch it, with any of the seeds, or if all faults were tried and a claim caught none.
    """
    for claim in claims:
        find_claim(claim)
    if folder.is_absolute() or ".." in folder.parts:
        raise UsageError(
            f"{folder} does not lie below the folder that the command was started in, from which "
            "workers import the faults; start it there."
        )
    table = planted.read_faults(folder)
    wanted = _chosen(table, names)
    bench = Bench(folder, out, replace(find_profile(profile), shrink_s=shrink_s), Machine())
    pairs = {
        name: {
            claim: by
            for claim, by in _claims_of(fault, every_claim).items()
            if not claims or claim in claims
        }
        for name, fault in wanted.items()
    }
    tried = _run(bench, wanted, pairs, seeds or (1, 2, 3), resume)
    shown = Output()
    if markdown:
        click.echo("\n".join(as_markdown(tried, folder)))
    else:
        _print(shown, tried)
    whole = set(wanted) == set(table) and not claims
    return _conclude(shown, tried, pairs, whole)


def _chosen(table: Mapping[str, Fault], names: Sequence[str]) -> dict[str, Fault]:
    for name in names:
        if name not in table:
            raise UsageError(f"There is no fault {name!r}; the folder of faults has its modules.")
    return {name: fault for name, fault in table.items() if not names or name in names}


def _claims_of(fault: Fault, every: bool) -> dict[str, By | None]:
    """The claims that must catch it, in order, then all others that can be put to it."""
    named: dict[str, By | None] = {by.claim: by for by in fault.by}
    if not every:
        return named
    others = TRANSFORMED if fault.mode != "eager" else set(CATALOGUE) - TRANSFORMED
    return named | {claim: None for claim in CATALOGUE if claim in others and claim not in named}


def _run(
    bench: Bench,
    faults: Mapping[str, Fault],
    pairs: Mapping[str, Mapping[str, By | None]],
    seeds: Sequence[int],
    resume: bool,
) -> list[Tried]:
    """Try what was not tried yet, a line for each as it ends."""
    bench.out.mkdir(parents=True, exist_ok=True)
    if not resume:
        (bench.out / planted.RESULTS).unlink(missing_ok=True)
    profile = bench.profile.name
    # The last word on a pair is the one that counts.
    done = {one.key: one for one in planted.read_tried(bench.out) if one.profile == profile}
    remarks = Remarks()
    total = len(seeds) * sum(map(len, pairs.values()))
    count = 0
    for seed in seeds:
        for name, claims in pairs.items():
            open_ = {c: by for c, by in claims.items() if (name, c, seed, profile) not in done}
            count += len(claims) - len(open_)
            if not open_:
                continue
            for one in bench.put(name, faults[name], open_, seed):
                planted.keep(bench.out, one)
                done[one.key] = one
                count += 1
                line = f"{count}/{total} {name} by {one.claim}, seed {seed}: {_told(one)}"
                remarks.print(line, highlight=False, markup=False, soft_wrap=True)
    keys = {(n, c, s, profile) for n, claims in pairs.items() for c in claims for s in seeds}
    return [one for key, one in done.items() if key in keys]


def _told(one: Tried) -> str:
    if not one.caught:
        return f"NOT CAUGHT ({one.why})"
    return (
        f"{one.kind} after {one.programs} programs, {one.seconds:.1f} s, shrunk to {_size([one])}"
    )


# -- what is printed


def _by_pair(tried: Sequence[Tried]) -> dict[tuple[str, str], list[Tried]]:
    pairs: dict[tuple[str, str], list[Tried]] = {}
    for one in tried:
        pairs.setdefault((one.fault, one.claim), []).append(one)
    return dict(sorted(pairs.items()))


def _size(tried: Sequence[Tried]) -> str:
    """The median size of what was found; what ran out of time to shrink is marked."""
    caught = [one for one in tried if one.caught]
    if not caught:
        return ""
    unit = "lines" if caught[0].script else "steps"
    mark = "" if all(one.minimal for one in caught) else " (not minimal)"
    return f"{round(median(one.size for one in caught))} {unit}{mark}"


def _cells(tried: Sequence[Tried]) -> tuple[str, str, str, str]:
    """Caught of tried, programs, seconds and size; of several seeds the median and the most."""
    caught = [one for one in tried if one.caught]
    share = f"{len(caught)}/{len(tried)}"
    if not caught:
        return share, "", "", ""
    programs, seconds = [one.programs for one in caught], [one.seconds for one in caught]
    several = len(caught) > 1
    return (
        share,
        f"{round(median(programs))}" + (f" (most {max(programs)})" if several else ""),
        f"{median(seconds):.1f}" + (f" (most {max(seconds):.1f})" if several else ""),
        _size(tried),
    )


def _print(shown: Output, tried: Sequence[Tried]) -> None:
    table = Table("fault", "claim", "caught", "programs", "seconds", "shrunk to", box=None)
    for (fault, claim), several in _by_pair(tried).items():
        table.add_row(fault, claim, *_cells(several))
    shown.print(table)
    shown.print()
    for line in matrix(tried):
        shown.print(line, highlight=False, markup=False, soft_wrap=True)


def matrix(tried: Sequence[Tried]) -> Iterator[str]:
    """Faults by claims, a letter each: caught with every seed, or not, or not tried."""
    pairs = _by_pair(tried)
    claims = [claim for claim in CATALOGUE if any(claim == c for _, c in pairs)]
    letters = dict(zip(claims, _LETTERS, strict=False))
    wide = max((len(fault) for fault, _ in pairs), default=0)
    yield f"{'':{wide}} {''.join(letters.values())}"
    for fault in dict.fromkeys(fault for fault, _ in pairs):
        row = (_mark(pairs.get((fault, claim), [])) for claim in claims)
        yield f"{fault:{wide}} {''.join(row)}"
    yield ""
    for claim, letter in letters.items():
        yield f"{letter} {claim}"
    yield f"{_CAUGHT} caught with every seed, {_MISSED} not, {_UNTRIED} not tried"


def _mark(tried: Sequence[Tried]) -> str:
    if not tried:
        return _UNTRIED
    return _CAUGHT if all(one.caught for one in tried) else _MISSED


def as_markdown(tried: Sequence[Tried], folder: Path) -> Iterator[str]:
    """A table for a document: a line for each fault and claim."""
    yield "| fault | | claim | as | caught | programs | seconds | shrunk to |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for (fault, claim), several in _by_pair(tried).items():
        kinds = ", ".join(dict.fromkeys(one.kind for one in several if one.caught))
        what = planted.sentence(folder, fault).rstrip(".")
        cells = (f"`{fault}`", what, f"`{claim}`", kinds, *_cells(several))
        yield f"| {' | '.join(cells)} |"


def _conclude(
    shown: Output,
    tried: Sequence[Tried],
    pairs: Mapping[str, Mapping[str, By | None]],
    whole: bool,
) -> int:
    """Say what was not caught, and how the command ends."""
    missed = [one for one in tried if not one.caught and pairs[one.fault][one.claim] is not None]
    for one in missed:
        line = f"Not caught: {one.fault} by {one.claim}, seed {one.seed} ({one.why})."
        shown.print(line, highlight=False, markup=False, soft_wrap=True)
    idle = sorted(set(CATALOGUE) - {one.claim for one in tried if one.caught}) if whole else []
    for claim in idle:
        shown.print(f"{claim} caught nothing.", highlight=False, soft_wrap=True)
    faults, count = len({one.fault for one in tried}), len(_by_pair(tried))
    shown.print(
        f"\n{faults} faults, {count} pairs of a fault and a claim, {len(tried)} trials: "
        f"{len(missed)} not caught.",
        highlight=False,
        soft_wrap=True,
    )
    return 1 if missed or idle else 0
