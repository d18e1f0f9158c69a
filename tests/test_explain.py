"""Explanations: what they say of some programs, that all programs have one, that advice helps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conformance.cli.main import commands
from conformance.explain import Explanation, explain, render
from conformance.explain.rules import RULES
from conformance.model import Kind, predict
from conformance.model.errors import PAST
from conformance.subjects import Subject
from strategies.build import build
from strategies.choices import Seeded
from strategies.draft import check
from strategies.printer import print_body
from strategies.program import Program, ProgramError, encode
from tests.tampering import backward, leaf, program, step

EXPLAINED = Path(__file__).parent / "explained"
A = leaf("a", [1.0, 2.0], grad=True)
ONES = [1.0, 1.0]
DRAWN = 200

PROGRAMS = {
    "saved_then_modified_through_a_view": program(
        A,
        step("sigmoid", "a", to="x0"),
        step("view_as", "x0", to="x1"),
        step("mul_", "x1", 2.0),
        backward("x0", ONES),
    ),
    "leaf_in_place": program(
        A, step("mul_", "a", 2.0), step("exp", "a", to="x0"), backward("x0", ONES)
    ),
    "written_in_no_grad": program(
        A,
        step("mul", "a", 3.0, to="x0"),
        step("mul_", "x0", 2.0, modes=["no_grad"]),
        step("add_", "a", 1.0, modes=["no_grad"]),
        step("add", "x0", "a", to="x1"),
        backward("x1", ONES),
    ),
    "one_of_several_views": program(
        '{"name":"a","shape":[2,1],"data":[1.0,2.0],"requires_grad":true}',
        step("mul", "a", 2.0, to="x0"),
        step("unbind", "x0", to="x1").replace('"to":["x1"]', '"to":["x1","x2"]'),
        step("mul_", "x0", 3.0),
        step("exp", "x2", to="x3"),
        backward("x3", [1.0]),
    ),
    "second_backward": program(
        A,
        step("exp", "a", to="x0"),
        step("mul", "x0", "x0", to="x1"),
        backward("x1", ONES),
        backward("x1", ONES),
    ),
    "gradient_of_a_result": program(
        A,
        step("exp", "a", to="x0"),
        step("sum", "x0", to="x1"),
        step("mul_", "x0", 2.0, modes=["no_grad"]),
        '{"do":"backward","of":["x1"],"inputs":["x0"],"via":"grad"}',
    ),
    "made_in_inference_mode": program(
        A,
        step("mul", "a", 2.0, to="x0", modes=["inference_mode"]),
        step("add_", "x0", 1.0, modes=["inference_mode"]),
        step("view_as", "a", to="x1", modes=["inference_mode", "enable_grad"]),
        step("add", "a", "x0", to="x2"),
        step("mul", "a", "x0", to="x3"),
        backward("x3", ONES),
    ),
    "detached_in_place": program(
        A,
        step("mul", "a", 2.0, to="x0"),
        step("view_as", "x0", to="x1"),
        step("square", "x0", to="x2"),
        step("detach_", "x0"),
        backward("x1", ONES),
        backward("x2", ONES),
    ),
    "shape_in_place": program(
        '{"name":"a","shape":[1,2],"data":[1.0,2.0],"requires_grad":true}',
        step("mul", "a", 2.0, to="x0"),
        step("exp", "x0", to="x1"),
        step("t_", "x1"),
        backward("x1", ONES),
    ),
    "nothing_wrong": program(
        f"{A},{leaf('b', [3.0, 4.0], grad=True)}",
        step("add", "a", "b", to="x0"),
        step("mul_", "x0", "b"),
        step("sum", "x0", to="x1"),
        backward("x1"),
    ),
}


def drawn(count: int = DRAWN) -> list[Program]:
    return [build(Seeded(20, index)) for index in range(count)]


# -- what is said


@pytest.mark.parametrize("name", PROGRAMS)
def test_text_is_the_golden_one(name: str) -> None:
    """Each kind of program is explained word for word as in its file."""
    golden = (EXPLAINED / f"{name}.txt").read_text(encoding="utf-8")
    assert render(explain(PROGRAMS[name])) == golden


def test_every_golden_text_has_its_program() -> None:
    assert {path.stem for path in EXPLAINED.glob("*.txt")} == set(PROGRAMS)


def test_modified_tensor_is_traced_to_the_step_and_the_alias() -> None:
    """The facts name who saved what at which version, and which step wrote it through whom."""
    explained = explain(PROGRAMS["saved_then_modified_through_a_view"])
    write = explained.steps[2].writes[0]
    assert (write.through, write.version_before, write.version_after) == ("x1", 0, 1)
    assert write.seen_by == ("x0", "x1")
    assert [(old.node, old.tensor) for old in write.outdates] == [("sigmoid (step 1)", "x0")]
    ran = explained.steps[3].backward
    assert ran is not None and ran.executed[-1].raises
    unpacked = ran.executed[-1].unpacks[0]
    assert (unpacked.saved_at, unpacked.now_at, unpacked.modified_by) == (0, 1, (3,))


def test_write_through_data_is_told_as_hidden() -> None:
    """A write that no version counter sees leaves gradients that nobody should trust."""
    explained = explain(
        program(
            A,
            step("exp", "a", to="x0"),
            step("data", "x0", to="x1"),
            step("mul_", "x1", 2.0),
            backward("x0", ONES),
        )
    )
    assert explained.steps[2].writes[0].hidden_from == ("x0",)
    assert explained.ending.outcome == "runs" and not explained.ending.trusted


def test_every_kind_of_error_has_a_rule_of_its_own() -> None:
    """None is explained by observation alone without a word on what is behind it; errors that older
    versions alone raise are not explained, since programs are by the rules of the table's torch.
    """
    assert set(RULES) == set(Kind) - PAST


def test_inference_mode_is_named_where_a_region_inside_it_records_elsewhere() -> None:
    """Nothing inside inference mode ends it."""
    explained = explain(PROGRAMS["made_in_inference_mode"])
    assert explained.steps[2].why_not_recorded == "it is inside inference_mode"
    assert [one.inference for one in explained.steps[0].made] == [True]
    assert explained.steps[1].writes[0].uncounted


def test_known_deviation_of_torch_is_told() -> None:
    """Where torch is known to raise against its documentation, the explanation says so."""
    explained = explain(
        program(
            f"{A},{leaf('b', [3.0, 4.0])}",
            step("view_as", "b", to="x0"),
            step("mul_", "b", "a"),
            step("mul_", "x0", 2.0),
        )
    )
    assert explained.ending.outcome == "runs"
    assert "stale-view-counts-as-leaf" in explained.ending.deviations[0]


def test_open_numbers_are_told() -> None:
    """Where cells repeat nothing raises, and the explanation says that no number is documented."""
    sharing = program(
        '{"name":"a","shape":[2,2],"data":[1.0,2.0,3.0,4.0]}',
        step("select", "a", params={"dim": 1, "index": 0}, to="x0"),
        step("add_", "a", "x0"),
    )
    explained = explain(sharing)
    assert (explained.ending.outcome, explained.ending.trusted) == ("runs", False)
    assert "the numbers are: partially overlapping operands." in explained.ending.why[0]


# -- every program


def test_every_drawn_program_is_explained_as_it_is_predicted() -> None:
    """An explanation ends where the model says, and runs no further."""
    for given in drawn():
        explained, predicted = explain(given), predict(check(given))
        end = explained.ending
        assert end.why, given.id
        assert len(explained.steps) == len(given.steps)
        if predicted.raises is None:
            assert end.outcome == ("unspecified" if predicted.unspecified else "runs"), given.id
        else:
            assert (end.step, end.kind) == (predicted.raises.step + 1, predicted.raises.kind.value)
            assert [s.number for s in explained.steps if s.raises] == [end.step]
            assert end.advice and end.message and end.rule, given.id


def test_every_line_fits_80_columns() -> None:
    for given in [*PROGRAMS.values(), *drawn()]:
        for line in render(explain(given)).splitlines():
            assert len(line) <= 80 and line == line.rstrip(), (given.id, line)


def test_looking_changes_nothing() -> None:
    """The traced interpreter ends with the same versions as the one that nobody looks at."""
    for given in drawn(50):
        predicted = predict(check(given))
        explained = explain(given)
        if predicted.unspecified or predicted.raises:
            continue
        last = {name: flags.version for name, flags in predicted.flags.items()}
        for made in (m for s in explained.steps for m in s.made if m.how == "new memory"):
            risen = [
                w.version_after for s in explained.steps for w in s.writes if made.name in w.seen_by
            ]
            if made.inference:
                assert last[made.name] is None
            elif last[made.name] != "any":
                assert last[made.name] == max([made.version, *risen]), (given.id, made.name)


def test_advice_that_was_tried_holds_in_torch(local: Subject) -> None:
    """A program that follows advice runs to its end, where the explanation says that it does."""
    tried = [
        advice
        for given in [*PROGRAMS.values(), *drawn()]
        for advice in explain(given).ending.advice
        if advice.program is not None and advice.then == "runs"
    ]
    assert len(tried) > 20
    for advice in tried:
        assert advice.program is not None
        body = print_body(check(advice.program)).text
        seen = local.run(body, [], watch=False, flags=False)
        assert seen.error is None, (advice.text, body)


# -- the command


def said(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(commands, ["explain", *arguments], input=given, standalone_mode=False)


def test_programs_of_standard_input_are_explained_one_after_the_other() -> None:
    lines = [encode(p).decode() for p in PROGRAMS.values()]
    result = said("-", given="\n".join(lines))
    assert result.exception is None
    assert result.stdout == "\n".join(render(explain(p)) for p in PROGRAMS.values())


def test_json_holds_the_same_facts(tmp_path: Path) -> None:
    """One object a line; it ends as the text does, and holds the program that follows advice."""
    file = tmp_path / "programs.jsonl"
    file.write_bytes(b"\n".join(map(encode, PROGRAMS.values())))
    result = said(str(file), "--json")
    assert result.exception is None
    facts = [json.loads(line) for line in result.stdout.splitlines()]
    assert [f["program"] for f in facts] == [p.id for p in PROGRAMS.values()]
    for fact, given in zip(facts, PROGRAMS.values(), strict=True):
        explained: Explanation = explain(given)
        assert fact["ending"]["outcome"] == explained.ending.outcome
        assert [s["number"] for s in fact["steps"]] == [s.number for s in explained.steps]
    assert facts[0]["ending"]["advice"][0]["program"]["steps"][1]["op"] == "clone"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no program"),
        (b"{", "This is not a program"),
        (b'{"leaves":[],"steps":[]}', "A program needs at least one leaf."),
        (b"\xff", "is not UTF-8 text"),
    ],
)
def test_bad_file_is_an_error_of_usage(tmp_path: Path, content: bytes, words: str) -> None:
    """The error is the sentence that the command line prints before it ends with 2."""
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    result = said(str(file))
    assert isinstance(result.exception, ProgramError)
    assert words in str(result.exception) and result.stdout == ""


def test_bad_file_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from conformance.cli import main

    argv = ["autograd-conformance", "explain", str(tmp_path / "none.json")]
    monkeypatch.setattr("sys.argv", argv)
    with pytest.raises(SystemExit) as end:
        main()
    printed = capsys.readouterr()
    assert end.value.code == 2
    assert printed.out == "" and printed.err.count("\n") == 1


def test_explaining_needs_neither_torch_nor_jax() -> None:
    """The model alone runs the program."""
    code = "import sys, conformance.explain; print({'torch', 'jax'} & set(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "set()\n"


# -- the document


def test_readme_shows_what_the_command_prints(tmp_path: Path) -> None:
    """The explanation in the README is the one of the README's program."""
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    file = tmp_path / "program.json"
    file.write_text(readme.split("```json\n")[1].split("```")[0], encoding="utf-8")
    shown = readme.split("\n## Explain a program\n")[1].split("```text\n")[1].split("```")[0]
    assert said(str(file)).stdout == shown
