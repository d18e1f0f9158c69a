"""Several versions of torch, one after the other: which there are, and what becomes of each."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from rich.console import Console

from conformance.records import Finish, RecordWriter, read_run, summarise
from conformance.records import Subject as Judged
from conformance.subjects import SubjectError
from tests.environments import fake_environment
from tools import matrix, nightly
from tools import workers as on_tox
from tools.workers import CannotMake, Worker, reason, workers

ROOT = Path(__file__).parents[1]
VERSIONS = {
    "torch12": "1.2.0",
    "torch14": "1.4.0",
    "torch18": "1.8.1",
    "torch112": "1.12.1",
    "torch113": "1.13.1",
    "torch20": "2.0.1",
    "torch24": "2.4.1",
    "torch28": "2.8.0",
    "torch213": "2.13.0",
    "torch215": "2.15.0",
}
HERE = str(torch.__version__).partition("+")[0]
CLAIM = "relu-default"


# -- the table in tox.ini


@pytest.fixture(scope="module")
def known() -> dict[str, Worker]:
    """The workers of the repository, which is where these tests run."""
    return workers()


def test_every_version_has_a_worker_environment(known: dict[str, Worker]) -> None:
    """The table has these versions, and the nightly build without one."""
    found = {label: str(worker.torch) for label, worker in known.items()}
    assert found == {label: f"torch=={v}" for label, v in VERSIONS.items()} | {"nightly": "torch"}


def test_every_worker_has_an_environment_that_judges_it(known: dict[str, Worker]) -> None:
    """`tox run -e torch24` judges `worker-torch24`, with tox and without a torch of its own."""
    config = on_tox._tox("config", "-q", "-e", ",".join(known), "-k", "commands", "extras", "deps")
    for label in known:
        section = config.stdout.split(f"[testenv:{label}]\n")[1].partition("[")[0]
        assert f"commands = python -m tools.matrix {label}\n" in section
        assert re.search(r"^extras = *$", section, re.M) and re.search(r"^deps = *$", section, re.M)


def test_worker_environments_hold_nothing_of_ours(known: dict[str, Worker]) -> None:
    config = on_tox._tox("config", "-q", "-e", "worker-torch12", "-k", "skip_install", "commands")
    assert "skip_install = True" in config.stdout
    assert re.search(r"^commands = *$", config.stdout, re.M)


def test_nightly_asks_every_torch_of_the_table(known: dict[str, Worker]) -> None:
    """The workflow's matrix is the table, so that no version is forgotten."""
    text = (ROOT / ".github/workflows/nightly.yml").read_text(encoding="utf-8")
    (listed,) = re.findall(r"torch:\s*\[([\w, ]+)\]", text)
    assert listed.split(", ") == list(known)


# -- making one


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "worker-a: failed with could not find python interpreter matching any of the specs "
            "python3.6\n  worker-a: FAIL code 1",
            "could not find python interpreter matching any of the specs python3.6",
        ),
        (
            "worker-a: install_deps> pip\nWARNING: slow\nERROR: No matching distribution found for "
            "torch==99.\nworker-a: exit 1",
            "No matching distribution found for torch==99",
        ),
        ("\n  something else\n", "something else"),
        ("", "tox did not say why"),
    ],
)
def test_the_reason_is_what_tox_or_pip_says(said: str, why: str) -> None:
    assert reason(said) == why


def worker(folder: Path, label: str, wanted: str) -> Worker:
    return Worker(label, Requirement(wanted), folder / f"worker-{label}")


def test_an_environment_that_is_there_is_not_made(tmp_path: Path) -> None:
    """Nor is its interpreter looked for, or a registry asked."""
    there = worker(tmp_path, "a", "torch==1.2.0")
    fake_environment(there.folder, "1.2.0")
    assert there.made().torch == "1.2.0"


def test_an_environment_with_another_torch_is_not_taken_for_it(tmp_path: Path) -> None:
    there = worker(tmp_path, "a", "torch==1.4.0")
    fake_environment(there.folder, "1.2.0")
    assert there.present() is None


def test_what_tox_cannot_make_is_said_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here by tox itself, which is asked for a Python that nobody has."""
    (tmp_path / "tox.ini").write_text(
        "[testenv:worker-a]\nskip_install = true\nbase_python = python3.99\ndeps = torch==1.2.0\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOX_WORK_DIR", raising=False)
    (one,) = workers().values()
    with pytest.raises(CannotMake, match=r"could not find python interpreter.*python3\.99"):
        one.made()


def test_no_tox_ini_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["matrix"])
    assert matrix.main() == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: There are no worker environments here") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["torch99"], "There is no torch 'torch99' in tox.ini; use torch12, torch14"),
        (["--profile", "slow"], "There is no profile 'slow'"),
        (["--claim", "none"], "none"),
        (["--no-such"], "No such option"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str],
    fragment: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["matrix", *arguments])
    assert matrix.main() == 2
    said = capsys.readouterr().err
    assert fragment in said and said.count("\n") == 1


# -- a matrix of two: one that is there, and one that cannot be made


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The folder that a matrix left, and the code with which it ended."""
    folder = tmp_path_factory.mktemp("matrix")
    there, absent = worker(folder, "here", f"torch=={HERE}"), worker(folder, "no", "torch==0.4.1")
    fake_environment(there.folder, HERE)
    arguments = ["--profile", "quick", "--claim", CLAIM, "--out", str(folder / "out")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix, "workers", lambda: {"no": absent, "here": there})
        patch.setattr(on_tox, "_tox", _refuses)
        patch.setattr(sys, "argv", ["matrix", *arguments])
        patch.setenv("AUTOGRAD_CONFORMANCE_WORKERS", "")
        patch.setenv("PYTHONPATH", str(ROOT))
        code = matrix.main()
    return folder / "out", code


def _refuses(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(arguments, 1, "ERROR: no wheel of torch 0.4.1\n")


def test_one_that_cannot_be_had_is_no_failure(judged: tuple[Path, int]) -> None:
    assert judged[1] == 0


def test_each_leaves_records_of_its_own(judged: tuple[Path, int]) -> None:
    """What was judged has verdicts; what was not has its reason for every claim."""
    out, _ = judged
    (here,) = summarise(read_run(out / "here"))
    assert (here.subject, here.claim, here.verdict) == (f"torch=={HERE}", CLAIM, "conforms")
    absent = summarise(read_run(out / "no"))
    assert {(row.subject, row.verdict, row.note) for row in absent} == {
        ("torch==0.4.1", "not exercised", "no wheel of torch 0.4.1")
    }


def test_one_report_has_all(judged: tuple[Path, int]) -> None:
    page = (judged[0] / "index.html").read_text(encoding="utf-8")
    for text in (f"torch=={HERE}", "torch==0.4.1", "no wheel of torch 0.4.1"):
        assert text in page


def test_it_ends_with_a_line_for_each_version(judged: tuple[Path, int]) -> None:
    """The verdicts of each, the reason of one not exercised, and of one without records."""
    heard = StringIO()
    matrix.print_outcomes(judged[0], ["no", "here", "lost"], Console(file=heard, width=80))
    rows = {
        line.split()[0]: " ".join(line.split()[1:]) for line in heard.getvalue().splitlines()[2:]
    }
    assert rows["no"] == "not exercised: no wheel of torch 0.4.1"
    assert rows["here"].endswith(" 1 conforms")
    assert rows["lost"] == "no records: its run could not begin"


def test_every_version_is_asked_as_many_programs(tmp_path: Path) -> None:
    asked = matrix.Asked(tmp_path, "quick", "cpu", 7, (CLAIM,), programs=1000)
    command = asked.run("torch==1.2.0", tmp_path / "torch12")
    assert command[-4:] == ("--claim", CLAIM, "--programs", "1000")


def test_a_torch_that_does_not_start_is_not_exercised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment in which torch cannot be imported says why, and fails nothing."""
    broken = worker(tmp_path, "a", "torch==1.2.0")
    fake_environment(broken.folder, "1.2.0")

    def refuse(name: str) -> None:
        raise SubjectError(f"{name}: no numpy.")

    monkeypatch.setattr(matrix, "open_subject", refuse)
    monkeypatch.setenv("AUTOGRAD_CONFORMANCE_WORKERS", "")
    asked = matrix.Asked(tmp_path, "quick", "cpu", 0)
    console = Console(quiet=True)
    assert matrix._judged(broken, asked, console, [], at_hand=False) == 0
    assert {row.note for row in summarise(read_run(tmp_path / "a"))} == {"torch==1.2.0: no numpy"}


def test_at_hand_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_tox, "_tox", lambda *arguments: pytest.fail("tox was asked"))
    asked = matrix.Asked(tmp_path, "quick", "cpu", 0)
    one, console = worker(tmp_path, "torch12", "torch==1.2.0"), Console(quiet=True)
    assert matrix._judged(one, asked, console, [], at_hand=True) == 0
    (note,) = {row.note for row in summarise(read_run(tmp_path / "torch12"))}
    assert note == "there is no environment with it; `tox run -e torch12` makes one"


@pytest.mark.parametrize(
    ("claims", "ends", "called", "code"),
    [
        ((), {"replay": 0, "run": 0}, ["replay", "run"], 0),
        ((), {"replay": 1, "run": 0}, ["replay", "run"], 1),
        ((), {"replay": 3, "run": 1}, ["replay", "run"], 1),
        ((), {"replay": 130}, ["replay"], 130),
        ((CLAIM,), {"run": 0}, ["run"], 0),
    ],
)
def test_a_torch_replays_the_corpus_before_it_is_asked_the_claims(
    claims: tuple[str, ...],
    ends: dict[str, int],
    called: list[str],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What deviates there counts as what deviates later; one claim is asked alone."""
    there = worker(tmp_path, "here", f"torch=={HERE}")
    fake_environment(there.folder, HERE)
    heard: list[str] = []

    def wait(command: Sequence[str]) -> int:
        assert command[4:6] == ("--subject", f"torch=={HERE}")
        heard.append(command[3])
        return ends[command[3]]

    monkeypatch.setenv("AUTOGRAD_CONFORMANCE_WORKERS", "")
    monkeypatch.setattr(matrix, "_wait", wait)
    asked = matrix.Asked(tmp_path / "out", "quick", "cpu", 0, claims)
    console = Console(quiet=True)
    assert matrix._judged(there, asked, console, [], at_hand=True) == code
    assert heard == called


@pytest.mark.parametrize(
    ("codes", "ends"), [((0, 0), 0), ((0, 3, 1), 1), ((3, 0), 3), ((1, 130), 130), ((2, 0), 2)]
)
def test_the_gravest_code_is_the_matrix_s_own(
    codes: tuple[int, ...], ends: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    left = iter(codes)
    made = {str(number): worker(tmp_path, str(number), "torch==1") for number in range(len(codes))}
    monkeypatch.setattr(matrix, "workers", lambda: made)
    monkeypatch.setattr(matrix, "_judged", lambda *given, **named: next(left))
    monkeypatch.setattr(matrix, "_wait", lambda command: 0)
    monkeypatch.setattr(sys, "argv", ["matrix", "--profile", "quick"])
    assert matrix.main() == ends


# -- the summary of a night


def test_a_night_is_summed_up(judged: tuple[Path, int], tmp_path: Path) -> None:
    """A row for each torch, with its verdicts, or with the reason why it has none."""
    night = tmp_path / "tonight"
    night.mkdir()
    (night / "records-here-cpu").symlink_to(judged[0] / "here")
    (night / "records-no-cpu").symlink_to(judged[0] / "no")
    (night / "records-lost-cpu").mkdir()
    page = nightly.summary(night, tmp_path / "before")
    rows = {row.split(" | ")[0].strip("| "): row for row in page.splitlines() if row[0:1] == "|"}
    assert rows["here-cpu"].endswith("| 0 | 0 | 0 | 1 | 0 | 0 |")
    assert "no wheel of torch 0.4.1" in rows["no-cpu"]
    assert "holds no verdicts.jsonl" in rows["lost-cpu"]
    assert page.count("No records of the last night.") == 3
    widths = {row.count(" |") for row in page.splitlines() if row[0:1] == "|" and "---" not in row}
    assert widths == {8}


def test_what_a_record_says_stays_in_its_cell(tmp_path: Path) -> None:
    subject = Judged("a", status="not exercised", reason="one | two\n<b>`x`")
    run = read_run(judged_folder(tmp_path, subject)).run
    assert run is not None
    assert nightly._cell(run.subjects[0].reason) == r"one \| two &lt;b>\`x\`"


def judged_folder(folder: Path, subject: Judged) -> Path:
    """Records of a run with one subject and one claim."""
    with RecordWriter(folder) as writer:
        asked = matrix.Asked(folder, "quick", "cpu", 0)
        matrix.record_absence(folder, asked, subject.name, subject.reason)
        writer.write(Finish("c", subject.name, "not exercised"))
    return folder


def test_two_folders_are_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert nightly.main(["nowhere"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
