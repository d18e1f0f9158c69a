"""Finds programs that tell the model from its mutants: `python -m tools.distinguishing --help`.

Every place of the model that cosmic-ray can change is changed in turn, in a fork. What the model
then says of many programs, by several versions of torch and under quirks, is compared with what it
says unchanged. Programs that have told mutants apart come first, so that few are needed; those that
are needed are written to `tests/distinguishing.jsonl.gz`, with what the model says of them.

`python -m benchmarks.mutation model` with the same OUT goes on with the mutants that are left, and
puts them to the other tests.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import os
import random
import resource
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import click
import msgspec

from benchmarks.forked import Mutant, replaced
from benchmarks.mutation import GROUPS, TREE, folder_of, opened, places, prepare, result
from strategies.draft import Draft, check
from strategies.program import decode

# Nothing of `conformance` is imported but in forks: it is what is mutated.

_MODEL = "conformance/model/"
_CPU_SECONDS = 40
_MAKING_SECONDS = 36_000
SAME, UNREACHED = "the same of all", "no case comes there"
_TRIED = 2500
"""So many cases at most are put to one mutant, of those that come to what is changed."""
_VERSIONS = tuple("1.2.0 1.4.0 1.8.1 1.12.1 1.13.1 2.0.1 2.4.1 2.8.0 2.13.0 2.15.0".split())


class Asked(msgspec.Struct, frozen=True):
    """A case, what the model says of it, and the lines of the model that said it."""

    program: msgspec.Raw
    torch: str
    quirks: tuple[str, ...]
    digest: str
    lines: dict[str, list[int]]

    def draft(self) -> Draft:
        return check(decode(bytes(self.program))).as_in(self.torch)


def _digest(said: object) -> str:
    return hashlib.sha1(msgspec.json.encode(said), usedforsecurity=False).hexdigest()


def _in_fork(work: Callable[[], bytes], answer: Path, seconds: int = _CPU_SECONDS) -> bytes | None:
    """What a fork of this process makes; None if it ended in another way, or not soon enough."""
    child = os.fork()
    if not child:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            os.dup2(os.open(f"{answer}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            answer.write_bytes(work())
            status = 0
        except BaseException:  # noqa: BLE001 - whatever it is, it must not run on as the parent
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    _, failed = os.waitpid(child, 0)
    return None if failed else answer.read_bytes()


def _cases(seed: int, count: int) -> Iterator[tuple[bytes, str, tuple[str, ...]]]:
    """Programs, versions of torch and quirks; imports the model."""
    from benchmarks.corners import programs
    from conformance.deviations import register
    from conformance.model.quirks import FORMER, QUIRKS, UNCHECKED
    from strategies.build import build
    from strategies.choices import Seeded
    from strategies.program import encode
    from strategies.table.changes import TABLES
    from tests.test_settled import CASES

    known = QUIRKS | FORMER
    of_version = {
        torch: tuple(
            sorted({d.entry.quirk for d in register() if d.applies("eager-cpu", torch)} & known)
        )
        for torch in _VERSIONS
    }
    fixed = [case.partition(": ")[2].encode() for _, _, case in CASES]
    fixed += [encode(d.program) for d in register() if d.program and d.entry.quirk in known]
    for program in fixed:
        yield program, TABLES, ()
        for torch in _VERSIONS:
            yield program, torch, of_version[torch]
            yield program, torch, ()
        for quirk in sorted(known | {UNCHECKED}):
            yield program, TABLES, (quirk,)
    choose = random.Random(seed)
    cornered = [encode(program) for _, _, program in programs(1, seed)]
    choose.shuffle(cornered)
    for index in range(count):
        torch = choose.choice(_VERSIONS)
        for program in (encode(build(Seeded(seed, index))), cornered[index % len(cornered)]):
            yield program, TABLES, ()
            yield program, torch, choose.choice(((), of_version[torch]))
            yield program, TABLES, choose.choice(((UNCHECKED,), tuple(sorted(QUIRKS))))


def _asked(seed: int, count: int) -> bytes:
    """Every case of the pool, with what the model says of it; imports the model."""
    from tests.distinguishing import Case, foretold, known

    found = []
    for program, torch, quirks in dict.fromkeys(_cases(seed, count)):
        case = Case(msgspec.Raw(program), torch, quirks)
        if not known(case):
            continue
        draft = case.draft()
        lines = defaultdict[str, set[int]](set)
        sys.settrace(_tracer(lines))
        said = foretold(case, draft)
        sys.settrace(None)
        kept = {name: sorted(numbers) for name, numbers in lines.items()}
        found.append(Asked(case.program, torch, quirks, _digest(said), kept))
    return msgspec.json.encode(found)


def _tracer(lines: dict[str, set[int]]) -> Callable[[FrameType, str, Any], Any]:
    """Notes which lines of the model are run."""

    def called(frame: FrameType, event: str, given: Any) -> Any:
        name = frame.f_code.co_filename
        place = name.find(_MODEL)
        if place < 0:
            return None
        of_file = lines[name[place:]]

        def run(frame: FrameType, event: str, given: Any) -> Any:
            of_file.add(frame.f_lineno)
            return run

        return run

    return called


def _around(source: str, line: int) -> range | None:
    """The lines of the statement there; None where it is run when the module is imported."""
    found = None
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            if not isinstance(node, ast.stmt) or node is function:
                continue
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            lines = range(node.lineno, max(last, node.lineno) + 1)
            if line in lines and (found is None or len(lines) <= len(found)):
                found = lines
    return found


class Search:
    """Which cases tell which mutants apart."""

    def __init__(self, folder: Path, asked: list[Asked], seed: int) -> None:
        self.folder, self.asked = folder, asked
        self.drafts = [one.draft() for one in asked]
        self.needed = Counter[int]()
        order = list(range(len(asked)))
        random.Random(seed).shuffle(order)
        self.order = order
        self.of_line = defaultdict[tuple[str, int], list[int]](list)
        for index in order:
            for name, numbers in asked[index].lines.items():
                for number in numbers:
                    self.of_line[name, number].append(index)

    def candidates(self, path: str, lines: range | None) -> list[int]:
        """Those that have told mutants apart, and then others, which come to these lines."""
        if lines is None:
            reached = self.order
        else:
            reached = list(dict.fromkeys(n for line in lines for n in self.of_line[path, line]))
        there = set(reached)
        first = [index for index, _ in self.needed.most_common() if index in there]
        return list(dict.fromkeys((*first, *reached[:_TRIED])))

    def told_apart(self, mutant: Mutant, line: int) -> str:
        """What came of it."""
        path = str(mutant.path)
        tried = self.candidates(path, _around(mutant.source, line))

        def work() -> bytes:
            with replaced(mutant, self.folder / TREE):
                return self.differing(tried)

        found = _in_fork(work, self.folder / "answer")
        if found is None:
            return "it cannot be imported, or does not come to an end"
        if not found:
            return SAME if tried else UNREACHED
        self.needed[int(found)] += 1
        return "told apart"

    def differing(self, tried: list[int]) -> bytes:
        """The first case of which the mutant says something else; imports the model."""
        from tests.distinguishing import Case, foretold

        for index in tried:
            one = self.asked[index]
            case = Case(one.program, one.torch, one.quirks)
            try:
                same = _digest(foretold(case, self.drafts[index])) == one.digest
            except Exception:  # noqa: BLE001 - a mutant may raise anything
                same = False
            if not same:
                return str(index).encode()
        return b""


def _written(search: Search, path: Path) -> bytes:
    """Write the cases that were needed, and what the model says of them; imports the model."""
    from tests.distinguishing import Case, Line, foretold

    with gzip.GzipFile(path, "wb", mtime=0) as file:
        for index in sorted(search.needed):
            one = search.asked[index]
            case = Case(one.program, one.torch, one.quirks)
            said = foretold(case, search.drafts[index])
            line = Line(one.program, one.torch, one.quirks, said=said)
            file.write(msgspec.json.encode(line) + b"\n")
    return b""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seed", default=1, show_default=True, help="Of the programs that are drawn.")
@click.option("--programs", default=2000, show_default=True, help="So many are drawn.")
@click.option("--sample", default=0, show_default=True, help="Mutants to try; 0 means all.")
@click.option(
    "--out", default="out/distinguishing", show_default=True, type=click.Path(path_type=Path)
)
def main(seed: int, programs: int, sample: int, out: Path) -> None:
    """Write the programs that tell the model from its mutants, and print what none tells apart."""
    folder = out.resolve() / folder_of("model", sample, seed)
    written = Path.cwd() / "tests" / "distinguishing.jsonl.gz"
    prepare(folder, GROUPS["model"], sample, seed)
    os.chdir(folder / TREE)
    sys.path.insert(0, str(folder / TREE))
    pool = _in_fork(lambda: _asked(seed, programs), folder / "pool.json", _MAKING_SECONDS)
    if pool is None:
        raise click.ClickException((folder / "pool.json.log").read_text())
    search = Search(folder, msgspec.json.decode(pool, type=list[Asked]), seed)
    click.echo(f"{len(search.asked)} cases")
    outcomes = Counter[str]()
    with opened(folder) as session:
        todo = list(places(session, folder))
        with click.progressbar(todo, label="mutants", show_pos=True, file=sys.stderr) as bar:
            for mutant, line in bar:
                outcome = search.told_apart(mutant, line)
                outcomes[outcome] += 1
                if outcome in (SAME, UNREACHED):
                    click.echo(f"\n{outcome}\n{mutant.diff}")
                else:
                    session.set_result(mutant.key, result(mutant, noticed=True, output=outcome))
    if _in_fork(lambda: _written(search, written), folder / "answer", _MAKING_SECONDS) is None:
        raise click.ClickException((folder / "answer.log").read_text())
    click.echo(f"\n{dict(outcomes)}; {len(search.needed)} cases are needed")


if __name__ == "__main__":
    main()
