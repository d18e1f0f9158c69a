"""Would the suite's own tests notice if the suite were wrong? It is mutated, one place a time.

`python -m benchmarks.mutation GROUP...` needs the dependency group `mutation`. cosmic-ray does the
mutating, in a copy of the repository under OUT, and keeps a session there: called again, it goes on
where it was stopped. `--sample` takes so many places of each group by the seed; without it all are
tried, which takes hours. It prints the share that is killed, by module, and what survived.

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

ROOT = Path(__file__).parents[1]
_TREE, _SESSION, _CONFIG = "tree", "session.sqlite", "config.toml"
_PYTEST = "python -m pytest -q -x -p no:cacheprovider -p no:xdist"


@dataclass(frozen=True, slots=True)
class Group:
    """Modules, by patterns, and the tests that must notice what is wrong with them, fastest first.

    No test of it compiles more of the oracle than its cache holds.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def command(self) -> str:
        """The next tests run only where the first ones noticed nothing."""
        return f"sh -c '{' && '.join(f'{_PYTEST} {test}' for test in self.tests)}'"


_PREDICTIONS = "--noconftest tests/test_recorded_predictions.py"
GROUPS: dict[str, Group] = {
    "model": Group(
        ("conformance/model/*.py",),
        (
            _PREDICTIONS,
            "tests/test_model.py -k rule",
            "tests/test_laws.py tests/test_reducing.py tests/test_out.py tests/test_errors.py",
        ),
    ),
    "judge": Group(
        ("conformance/judge.py", "conformance/tolerances.py"),
        ("tests/test_judge.py", "tests/test_examine.py tests/test_settled.py"),
    ),
    "codec": Group(
        ("strategies/program.py", "strategies/values.py", "strategies/limits.py"),
        (_PREDICTIONS, "--noconftest tests/test_program.py", "tests/test_values.py"),
    ),
    "rest": Group(
        ("conformance/explain/*.py", "strategies/draft.py", "strategies/layout.py"),
        (_PREDICTIONS, "tests/test_layout.py tests/test_draft.py", "tests/test_explain.py"),
    ),
}


def _prepare(folder: Path, group: Group, sample: int, seed: int) -> None:
    """A copy of what git holds, and a session of the places to try in it."""
    tree = folder / _TREE
    shutil.rmtree(tree, ignore_errors=True)
    held = subprocess.run(
        ("git", "ls-files", "-z"), cwd=ROOT, capture_output=True, check=True, text=True
    )
    for name in held.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    # Nothing is compiled while tests run: what is mutated must not be taken for what it was.
    subprocess.run((sys.executable, "-m", "compileall", "-q", "."), cwd=tree, check=False)
    modules = sorted(str(p.relative_to(tree)) for one in group.modules for p in tree.glob(one))
    quoted = ", ".join(f'"{name}"' for name in modules if not name.endswith("__init__.py"))
    # Longer than the tests take on a busy machine: what does not end counts as noticed.
    (tree / _CONFIG).write_text(
        f'[cosmic-ray]\nmodule-path = [{quoted}]\ntimeout = 300.0\ntest-command = """'
        f'{group.command}"""\n[cosmic-ray.distributor]\nname = "local"\n'
    )
    _cosmic_ray(tree, "init", _CONFIG, f"../{_SESSION}")
    _choose(folder, tree, sample, seed)


def _cosmic_ray(tree: Path, *arguments: str) -> None:
    subprocess.run((sys.executable, "-m", "cosmic_ray.cli", *arguments), cwd=tree, check=True)


def _open(folder: Path) -> Any:
    work = importlib.import_module("cosmic_ray.work_db")
    return work.use_db(str(folder / _SESSION), work.WorkDB.Mode.open)


def _choose(folder: Path, tree: Path, sample: int, seed: int) -> None:
    """Mark what nothing can notice, and what is not in the sample, as not to be tried."""
    items = importlib.import_module("cosmic_ray.work_item")
    skipped = items.WorkResult(worker_outcome=items.WorkerOutcome.SKIPPED)
    with _open(folder) as session:
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
    """Whether the module differs in anything but annotations and docstrings."""
    plugins = importlib.import_module("cosmic_ray.plugins")
    mutating = importlib.import_module("cosmic_ray.mutating")
    source = (tree / mutation.module_path).read_text(encoding="utf-8")
    operator = plugins.get_operator(mutation.operator_name)(**mutation.operator_args)
    changed = mutating.mutate_code(source, operator, mutation.occurrence)
    return changed is not None and _bare(changed) != _bare(source)


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


def report(folder: Path) -> Iterator[str]:
    """The share killed by module, and each survivor as a diff."""
    tried: Counter[str] = Counter()
    killed: Counter[str] = Counter()
    survivors: list[str] = []
    with _open(folder) as session:
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
@click.option("--report", "only_report", is_flag=True, help="Try nothing; print what was seen.")
def main(groups: tuple[str, ...], sample: int, seed: int, out: Path, only_report: bool) -> None:
    """Mutate the modules of each of the GROUPS, or of all, and run the tests that must fail."""
    for name in groups or GROUPS:
        folder = out.resolve() / f"{name}-{sample or 'all'}-{seed}"
        if not only_report:
            if not (folder / _SESSION).exists():
                _prepare(folder, GROUPS[name], sample, seed)
            _cosmic_ray(folder / _TREE, "exec", _CONFIG, f"../{_SESSION}")
        click.echo(f"\n## {name}\n")
        click.echo("\n".join(report(folder)))


if __name__ == "__main__":
    main()
