"""Records are appended, survive what happens to runs, and are read to the end."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from conformance.records import (
    SCHEMA,
    Claim,
    Counterexample,
    Detected,
    Deviation,
    Elsewhere,
    End,
    Finish,
    Host,
    InFlight,
    Outside,
    Record,
    RecordError,
    RecordWriter,
    Run,
    RunRecords,
    Start,
    Subject,
    Trace,
    TraceStep,
    Verdict,
    read_run,
    summarise,
)

PROGRAM = "0123456789abcdef"
ROOT = Path(__file__).parent.parent


OLD = Path(__file__).parent / "schema_1"
"""A run that the suite recorded when the schema was 1."""


def a_run(*, id: str = "r1", schema: int = SCHEMA) -> Run:
    subjects = (
        Subject("eager-cpu", torch="2.13.0", python="3.11.7", device="cpu"),
        Subject("eager-cuda", status="not exercised", reason="torch sees no CUDA device"),
    )
    claims = (Claim("relu", "ReLU", "It holds.", ("000",)), Claim("leaf", "Leaves", "They raise."))
    host = Host("3.11.7", "Linux")
    return Run(id, "2025-11-21T20:29:13Z", "0.1", "quick", 7, "run", host, subjects, claims, schema)


def conforming(claim: str = "relu", program: str = PROGRAM) -> Verdict:
    return Verdict(claim, "eager-cpu", program, "conforms")


EVERY_RECORD: list[Record] = [
    a_run(),
    Start("relu", "eager-cpu", 7),
    InFlight("relu", "eager-cpu", PROGRAM),
    conforming(),
    Verdict(
        "relu",
        "eager-cpu",
        PROGRAM,
        "deviates",
        kind="wrong value",
        message="x[0] is 1.0 and should be 2.0",
        script="import torch",
        step=3,
        expected="2.0",
        observed="1.0",
        command="check x.json",
        minimal=False,
        source={"leaves": [], "steps": []},
        trace=Trace(("a = 1",), (), (TraceStep(1, "a.mul_(2)", raises=True),), outcome="raises"),
        off=(0, 3),
        detected=Detected(12, 0.5),
    ),
    Counterexample("relu", "eager-cpu", PROGRAM, "import torch", "twice the mask", 12, "outside"),
    Finish(
        "relu",
        "eager-cpu",
        "deviates",
        {"conforms": 1, "deviates": 1},
        1.5,
        outside=Outside(9, True),
        cells={"mul": (3, 1, 0, 0, 2)},
    ),
    Deviation("d1", "wrong flag", "relu", "A flag", "a cause", "eager-cpu", "still"),
    Elsewhere(PROGRAM, "torch==2.4.1", "2.4.1", "conforms"),
    End("2025-11-21T20:30:13Z", 60.0, 1),
]


def write(folder: Path, *records: Record) -> Path:
    with RecordWriter(folder) as writer:
        for record in records:
            writer.write(record)
    return folder


def test_every_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Writing and reading are inverse for each type of record."""
    records = read_run(write(tmp_path / "new" / "folder", *EVERY_RECORD))
    attempt = records.attempts["relu", "eager-cpu"]
    assert records.broken == []
    assert records.run == EVERY_RECORD[0]
    assert [*attempt.verdicts, *attempt.counterexamples, attempt.finish] == EVERY_RECORD[3:7]
    assert list(records.deviations.values()) == EVERY_RECORD[7:8]
    assert list(records.elsewhere.values()) == EVERY_RECORD[8:9]
    assert records.end == EVERY_RECORD[9]


def test_a_line_is_on_disk_as_soon_as_it_is_written(tmp_path: Path) -> None:
    """Nothing waits in a buffer while the run goes on."""
    writer = RecordWriter(tmp_path)
    writer.program(PROGRAM, {"steps": []})
    writer.write(conforming())
    assert (tmp_path / "verdicts.jsonl").read_bytes().endswith(b'"verdict":"conforms"}\n')
    assert (tmp_path / "programs.jsonl").read_bytes().endswith(b"}\n")
    writer.close()


def test_a_conforming_verdict_is_a_short_line(tmp_path: Path) -> None:
    """Everything but the verdict is left out where a program conforms."""
    write(tmp_path, conforming())
    line = (tmp_path / "verdicts.jsonl").read_text()
    assert line == (
        '{"type":"verdict","claim":"relu","subject":"eager-cpu",'
        f'"program":"{PROGRAM}","verdict":"conforms"}}\n'
    )


def test_a_program_is_stored_once_even_across_writers(tmp_path: Path) -> None:
    """Each id has one line, also when a run is resumed."""
    for _ in range(2):
        with RecordWriter(tmp_path) as writer:
            writer.program(PROGRAM, {"steps": [1]})
            writer.program("f" * 16, "import torch")
            writer.write(a_run())
    programs = read_run(tmp_path).programs
    assert len((tmp_path / "programs.jsonl").read_text().splitlines()) == 2
    assert bytes(programs[PROGRAM].program) == b'{"steps":[1]}'
    assert programs["f" * 16].script == "import torch"


def test_a_folder_that_is_a_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """A place that cannot hold records is named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match=r"cannot be written to .*file .*choose another folder"):
        RecordWriter(tmp_path / "file")


def test_a_full_disk_is_told_in_one_sentence(tmp_path: Path) -> None:
    """A line that cannot be written is an error of its own class, and closing works."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full to play a full disk")
    (tmp_path / "verdicts.jsonl").symlink_to("/dev/full")
    writer = RecordWriter(tmp_path)
    with pytest.raises(RecordError, match=r"could not be written .*No space"):
        writer.write(conforming())
    writer.close()


def test_lone_surrogates_in_a_message_are_written_as_escapes(tmp_path: Path) -> None:
    """A subject's message can be any Python string."""
    verdict = Verdict("relu", "eager-cpu", PROGRAM, "deviates", message="bad \ud800 text")
    (read,) = read_run(write(tmp_path, verdict)).verdicts
    assert read.message == "bad \\ud800 text"


def test_a_broken_line_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    """Garbage, a wrong verdict word and invalid UTF-8 cost a line each."""
    write(tmp_path, a_run(), conforming())
    with (tmp_path / "verdicts.jsonl").open("ab") as file:
        file.write(b'garbage\n{"type":"verdict","claim":"relu","subject":"s","program":"p",')
        file.write(b'"verdict":"fine"}\n{"type":"start","claim":"\xff","subject":"s","seed":1}\n')
    write(tmp_path, conforming())
    records = read_run(tmp_path)
    places = [sentence.split(": ")[0] for sentence in records.broken]
    assert places == [f"{tmp_path}/verdicts.jsonl:{n}" for n in (3, 4, 5)]
    assert len(list(records.verdicts)) == 2


def test_a_last_line_that_was_cut_off_costs_itself_alone(tmp_path: Path) -> None:
    """A run killed while it wrote is read, and going on does not glue two lines together."""
    write(tmp_path, a_run(), conforming())
    with (tmp_path / "verdicts.jsonl").open("ab") as file:
        file.write(b'{"type":"verdict","cla')
    (broken,) = read_run(tmp_path).broken
    assert "verdicts.jsonl:3: " in broken
    assert "cut off" in broken
    write(tmp_path, conforming())
    assert len(list(read_run(tmp_path).verdicts)) == 2


def test_a_killed_run_is_read(tmp_path: Path) -> None:
    """SIGKILL at any moment loses at most the line being written."""
    code = (
        "import sys; from pathlib import Path; from tests.test_records import *\n"
        "w = RecordWriter(Path(sys.argv[1])); w.write(a_run())\n"
        "w.write(Start('relu', 'eager-cpu', 7))\n"
        "while True: w.write(InFlight('relu', 'eager-cpu', PROGRAM)); w.write(conforming())\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    verdicts = tmp_path / "verdicts.jsonl"
    deadline = time.monotonic() + 30
    while not (verdicts.exists() and verdicts.stat().st_size > 10_000):
        assert time.monotonic() < deadline, "the child wrote nothing"
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    records = read_run(tmp_path)
    assert len(records.broken) <= 1
    assert len(list(records.verdicts)) >= 30
    assert summarise(records)[0].verdict == "interrupted"


def compress(folder: Path) -> None:
    for path in list(folder.glob("*.jsonl")):
        path.with_suffix(".jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


def test_compressed_records_are_read(tmp_path: Path) -> None:
    """A recorded run is read from its folder and from its file alike."""
    with RecordWriter(tmp_path) as writer:
        writer.program(PROGRAM, "import torch")
    write(tmp_path, *EVERY_RECORD)
    compress(tmp_path)
    for path in (tmp_path, tmp_path / "verdicts.jsonl.gz"):
        records = read_run(path)
        assert len(list(records.verdicts)) == 2
        assert set(records.programs) == {PROGRAM}


def test_a_damaged_compressed_file_is_read_up_to_the_damage(tmp_path: Path) -> None:
    """What a truncated gzip file still gives is kept."""
    write(tmp_path, a_run(), *(conforming(program=f"{n * 99991:016x}") for n in range(5000)))
    compress(tmp_path)
    packed = tmp_path / "verdicts.jsonl.gz"
    packed.write_bytes(packed.read_bytes()[:-2000])
    records = read_run(tmp_path)
    assert "damaged" in records.broken[-1]
    assert len(list(records.verdicts)) > 1000


def test_what_was_in_flight_is_told_where_nothing_became_of_it(tmp_path: Path) -> None:
    """By whatever the run was cut off; where a verdict follows, nothing is in flight."""
    flights = [InFlight("relu", "eager-cpu", f"{n:016x}") for n in range(3)]
    seen = conforming(program=flights[0].program)
    run = write(tmp_path, a_run(), flights[0], seen, flights[1])
    assert read_run(run).attempts["relu", "eager-cpu"].in_flight == flights[1].program
    write(tmp_path, flights[2], conforming("leaf"))
    assert read_run(run).attempts["relu", "eager-cpu"].in_flight == flights[2].program
    write(tmp_path, flights[0], seen)
    assert read_run(run).attempts["relu", "eager-cpu"].in_flight == ""


def test_a_resumed_claim_counts_from_its_last_start(tmp_path: Path) -> None:
    """What an interrupted attempt judged is not counted twice; finished claims are kept."""
    leaf: list[Record] = [
        Start("leaf", "eager-cpu", 7),
        Finish("leaf", "eager-cpu", "conforms", {"conforms": 5}),
    ]
    write(tmp_path, a_run(), *leaf, Start("relu", "eager-cpu", 7), conforming(), conforming())
    write(tmp_path, a_run(), Start("relu", "eager-cpu", 7), conforming())
    records = read_run(tmp_path)
    assert records.attempts["relu", "eager-cpu"].counts == {"conforms": 1}
    assert records.attempts["leaf", "eager-cpu"].counts == {"conforms": 5}


def test_of_two_runs_in_a_folder_the_last_is_read(tmp_path: Path) -> None:
    """A folder used again does not mix its runs."""
    write(tmp_path, *EVERY_RECORD)
    write(tmp_path, a_run(id="r2"), Start("leaf", "eager-cpu", 1))
    records = read_run(tmp_path)
    assert records.run == a_run(id="r2")
    assert set(records.attempts) == {("leaf", "eager-cpu")}
    assert records.end is None
    assert records.deviations == {}


@pytest.mark.parametrize(
    ("content", "fragment"),
    [(None, "holds no verdicts.jsonl"), (b"", "holds no records"), (b"x\n", "holds no records")],
)
def test_a_folder_without_records_is_refused(
    tmp_path: Path, content: bytes | None, fragment: str
) -> None:
    """A folder that no run wrote is told apart from a run that found nothing."""
    if content is not None:
        (tmp_path / "verdicts.jsonl").write_bytes(content)
    with pytest.raises(RecordError, match=fragment):
        read_run(tmp_path)


def test_a_path_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    """The sentence names the path."""
    with pytest.raises(RecordError, match="nowhere does not exist"):
        read_run(tmp_path / "nowhere")


def test_records_of_a_newer_schema_are_refused(tmp_path: Path) -> None:
    """A schema that this version does not know is not guessed at."""
    write(tmp_path, a_run(schema=SCHEMA + 1))
    with pytest.raises(RecordError, match=rf"schema {SCHEMA + 1} .* reads up to {SCHEMA}"):
        read_run(tmp_path)


def test_records_of_an_older_schema_are_read() -> None:
    """What the suite wrote when the schema was 1 loads whole; what it did not keep is not there."""
    records = read_run(OLD)
    assert records.run is not None and records.run.schema == 1
    assert records.broken == []
    verdicts = {row.claim: row.verdict for row in summarise(records)}
    assert verdicts["saved-inplace-raises"] == "deviates"
    (finding, *_) = (verdict for verdict in records.verdicts if verdict.verdict == "deviates")
    assert finding.script and finding.program in records.programs
    assert (finding.source, finding.trace, finding.detected) == (None, None, None)
    assert records.end is not None


def test_what_was_not_kept_takes_no_space(tmp_path: Path) -> None:
    """A finding that is a script has neither source nor trace, and says nothing of them."""
    verdict = Verdict("relu", "eager-cpu", PROGRAM, "deviates")
    write(tmp_path, verdict)
    line = (tmp_path / "verdicts.jsonl").read_text()
    assert "source" not in line and "trace" not in line
    assert next(iter(read_run(tmp_path).verdicts)) == verdict


def test_a_row_sums_up_a_claim_on_a_subject(tmp_path: Path) -> None:
    """Programs judged are all but those not exercised."""
    finish = Finish("relu", "eager-cpu", "conforms", {"conforms": 3, "not exercised": 2}, 1.5, "ok")
    row = summarise(read_run(write(tmp_path, a_run(), Start("relu", "eager-cpu", 7), finish)))[0]
    assert (row.title, row.verdict, row.programs, row.seconds, row.note) == (
        "ReLU",
        "conforms",
        3,
        1.5,
        "ok",
    )


def test_rows_say_what_an_interrupted_run_did_not_do(tmp_path: Path) -> None:
    """Started, never started and not exercised are three different things."""
    flight = InFlight("relu", "eager-cpu", "feed" * 4)
    run = write(tmp_path, a_run(), Start("relu", "eager-cpu", 7), conforming(), flight)
    notes = {(row.claim, row.subject): (row.verdict, row.note) for row in summarise(read_run(run))}
    verdict, note = notes["relu", "eager-cpu"]
    assert verdict == "interrupted"
    assert note.endswith("with program feedfeedfeedfeed in flight")
    assert notes["leaf", "eager-cpu"] == (
        "interrupted",
        "the run ended before this claim started",
    )
    assert notes["leaf", "eager-cuda"] == ("not exercised", "torch sees no CUDA device")


def test_records_without_their_run_line_are_still_summed_up() -> None:
    """Where the first line is lost, claims go by their ids."""
    records = RunRecords(Path("out"))
    records.attempt("relu", "eager-cpu").verdicts.append(conforming())
    (row,) = summarise(records)
    assert (row.title, row.programs) == ("relu", 1)


def test_a_hundred_thousand_verdicts_are_read_quickly(tmp_path: Path) -> None:
    """A nightly run's records are read in about a second; the bound allows for a busy machine."""
    write(tmp_path, a_run())
    with (tmp_path / "verdicts.jsonl").open("ab") as file:
        file.write((msgspec.json.encode(conforming()) + b"\n") * 100_000)
    started = time.perf_counter()
    records = read_run(tmp_path)
    assert len(list(records.verdicts)) == 100_000
    assert time.perf_counter() - started < 10
