"""Would the suite's own tests notice if the suite were wrong? It is mutated, one place a time.

`python -m benchmarks.mutation GROUP...` needs the dependency group `mutation`. Cosmic-ray finds the
places, makes the mutants and keeps what became of them, in a session under OUT beside a copy of the
repository: called again, it goes on where it was stopped. `--sample` takes so many places of each
group by the seed; without it all are tried. It prints the share that is killed, by module, and what
survived.

The tests of a mutant run in a fork of a process that has imported all that no mutant of its group
can change, which is most of what a run of pytest costs. Nothing on disk changes.

Places that nothing can notice are left out: annotations, which are never evaluated here, and
docstrings.
"""

from __future__ import annotations

import ast
import importlib
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.forked import Mutant, results

ROOT = Path(__file__).parents[1]
TREE, _SESSION, _CONFIG = "tree", "session.sqlite", "config.toml"


@dataclass(frozen=True, slots=True)
class Group:
    """Modules, by patterns, and the tests that must notice what is wrong with them, fastest first.

    The next tests run only where the first ones noticed nothing. No test compiles more of the
    oracle than its cache holds. `ready` is imported before the forks: nothing in it may import what
    is mutated.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]
    ready: tuple[str, ...]


_LIBRARIES = ("numpy", "msgspec", "hypothesis", "pytest", "jax", "torch")
_DISTINGUISHING = "--noconftest tests/test_distinguishing.py -k it_said"
_PREDICTIONS = "--noconftest tests/test_recorded_predictions.py"
GROUPS: dict[str, Group] = {
    "model": Group(
        ("conformance/model/*.py",),
        (
            _DISTINGUISHING,
            _PREDICTIONS,
            "tests/test_model.py -k rule",
            "tests/test_laws.py tests/test_reducing.py tests/test_out.py tests/test_errors.py",
            "tests/test_saves.py tests/test_judge.py tests/test_explain.py tests/test_examine.py",
        ),
        (*_LIBRARIES, "strategies.draft", "strategies.build"),
    ),
    "judge": Group(
        ("conformance/judge.py", "conformance/tolerances.py"),
        ("tests/test_judge.py", "tests/test_examine.py tests/test_settled.py"),
        (*_LIBRARIES, "strategies.draft", "strategies.build", "conformance.model"),
    ),
    "codec": Group(
        ("strategies/program.py", "strategies/values.py", "strategies/limits.py"),
        (
            _DISTINGUISHING,
            "--noconftest tests/test_program.py",
            "--noconftest tests/test_values.py",
            _PREDICTIONS,
        ),
        _LIBRARIES,
    ),
    "rest": Group(
        ("conformance/explain/*.py", "strategies/draft.py", "strategies/layout.py"),
        (_PREDICTIONS, "tests/test_layout.py tests/test_draft.py", "tests/test_explain.py"),
        _LIBRARIES,
    ),
}


def folder_of(group: str, sample: int, seed: int) -> str:
    return f"{group}-{sample or 'all'}-{seed}"


def prepare(folder: Path, group: Group, sample: int, seed: int) -> None:
    """A copy of what git holds, and a session of the places to try in it."""
    tree = folder / TREE
    shutil.rmtree(tree, ignore_errors=True)
    held = subprocess.run(
        ("git", "ls-files", "-z"), cwd=ROOT, capture_output=True, check=True, text=True
    )
    for name in held.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    modules = sorted(str(p.relative_to(tree)) for one in group.modules for p in tree.glob(one))
    quoted = ", ".join(f'"{name}"' for name in modules if not name.endswith("__init__.py"))
    # Cosmic-ray asks for a command and a way to distribute it, and neither is used.
    (tree / _CONFIG).write_text(
        f"[cosmic-ray]\nmodule-path = [{quoted}]\ntimeout = 1.0\ntest-command = 'false'\n"
        '[cosmic-ray.distributor]\nname = "local"\n'
    )
    subprocess.run(
        (sys.executable, "-m", "cosmic_ray.cli", "init", _CONFIG, f"../{_SESSION}"),
        cwd=tree,
        check=True,
    )
    _choose(folder, tree, sample, seed)


def opened(folder: Path) -> Any:
    work = importlib.import_module("cosmic_ray.work_db")
    return work.use_db(str(folder / _SESSION), work.WorkDB.Mode.open)


def _choose(folder: Path, tree: Path, sample: int, seed: int) -> None:
    """Mark what nothing can notice, and what is not in the sample, as not to be tried."""
    items = importlib.import_module("cosmic_ray.work_item")
    skipped = items.WorkResult(worker_outcome=items.WorkerOutcome.SKIPPED)
    with opened(folder) as session:
        known = list(session.work_items)
        order = sorted(known, key=lambda one: (_place(one), one.mutations[0].operator_name))
        random.Random(seed).shuffle(order)
        taken = 0
        for one in order:
            if (not sample or taken < sample) and _matters(tree, one.mutations[0]):
                taken += 1
            else:
                session.set_result(one.job_id, skipped)


def _place(item: Any) -> tuple[str, int, int]:
    one = item.mutations[0]
    return str(one.module_path), one.start_pos[0], one.occurrence


def _matters(tree: Path, mutation: Any) -> bool:
    """Whether it is a module, and differs in anything but annotations and docstrings."""
    source, changed = _sources(tree, mutation)
    if changed is None:
        return False
    try:
        return _bare(changed) != _bare(source)
    except SyntaxError:  # the star before arguments by name was taken for an operation
        return False


def _sources(tree: Path, mutation: Any) -> tuple[str, str | None]:
    """The module as it is, and as it is mutated."""
    plugins = importlib.import_module("cosmic_ray.plugins")
    mutating = importlib.import_module("cosmic_ray.mutating")
    source = (tree / mutation.module_path).read_text(encoding="utf-8")
    operator = plugins.get_operator(mutation.operator_name)(**mutation.operator_args)
    return source, mutating.mutate_code(source, operator, mutation.occurrence)


class _Bare(ast.NodeTransformer):
    """Takes away annotations."""

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        # Msgspec and dataclasses read those of fields, which stay as they are.
        return self.generic_visit(node)


def _bare(source: str) -> str:
    return ast.dump(_Bare().visit(ast.parse(source)))


def _execute(folder: Path, group: Group, workers: int) -> None:
    """Try each place that is still open; what became of each is on disk before the next."""
    with opened(folder) as session:
        mutants = [mutant for mutant, _ in places(session, folder)]
        tried = results(folder / TREE, group.ready, group.tests, mutants, workers)
        with click.progressbar(tried, len(mutants), label="mutants", show_pos=True) as bar:
            for mutant, noticed, output in bar:
                session.set_result(mutant.key, result(mutant, noticed=noticed, output=output))


def result(mutant: Mutant, *, noticed: bool, output: str) -> Any:
    """What cosmic-ray keeps of a mutant that was tried."""
    items = importlib.import_module("cosmic_ray.work_item")
    return items.WorkResult(
        worker_outcome=items.WorkerOutcome.NORMAL,
        output=output[-4000:],
        test_outcome=items.TestOutcome.KILLED if noticed else items.TestOutcome.SURVIVED,
        diff=mutant.diff,
    )


def places(session: Any, folder: Path) -> Iterator[tuple[Mutant, int]]:
    """Each mutant that is still to be tried, and the line where it is changed."""
    for item in session.pending_work_items:
        mutation = item.mutations[0]
        source, changed = _sources(folder / TREE, mutation)
        assert changed is not None, "what changes nothing is not chosen"
        yield Mutant(item.job_id, mutation.module_path, source, changed), mutation.start_pos[0]


def report(folder: Path) -> Iterator[str]:
    """The share killed by module, and each survivor as a diff."""
    tried: Counter[str] = Counter()
    killed: Counter[str] = Counter()
    survivors: list[str] = []
    with opened(folder) as session:
        results = {job: result for job, result in session.results if result.test_outcome}
        for item in session.work_items:
            result = results.get(item.job_id)
            if result is None:
                continue
            name = str(item.mutations[0].module_path)
            tried[name] += 1
            killed[name] += result.is_killed
            if not result.is_killed:
                survivors.append(result.diff or "")
        open_ = session.num_work_items - session.num_results
    yield "| module | tried | killed | |"
    yield "| --- | ---: | ---: | ---: |"
    for name in sorted(tried):
        yield f"| `{name}` | {tried[name]} | {killed[name]} | {killed[name] / tried[name]:.0%} |"
    whole = max(tried.total(), 1)
    yield f"| together | {tried.total()} | {killed.total()} | {killed.total() / whole:.0%} |"
    if open_:
        yield f"\n{open_} places are still open; the same command goes on."
    for diff in survivors:
        lines = [line for line in diff.splitlines() if line[:1] in "+-@" or not line.strip()]
        yield "\n" + "\n".join(lines)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("groups", nargs=-1, type=click.Choice(list(GROUPS)))
@click.option("--sample", default=0, show_default=True, help="Places of each group; 0 means all.")
@click.option("--seed", default=1, show_default=True, help="Of the sample.")
@click.option("--out", default="out/mutation", show_default=True, type=click.Path(path_type=Path))
@click.option("--workers", default=2, show_default=True, help="Mutants tried at once.")
@click.option("--report", "only_report", is_flag=True, help="Try nothing; print what was seen.")
def main(
    groups: tuple[str, ...], sample: int, seed: int, out: Path, workers: int, only_report: bool
) -> None:
    """Mutate the modules of each of the GROUPS, or of all, and run the tests that must fail."""
    for name in groups or GROUPS:
        folder = out.resolve() / folder_of(name, sample, seed)
        if not only_report:
            if not (folder / _SESSION).exists():
                prepare(folder, GROUPS[name], sample, seed)
            _execute(folder, GROUPS[name], workers)
        click.echo(f"\n## {name}\n")
        click.echo("\n".join(report(folder)))


if __name__ == "__main__":
    main()
