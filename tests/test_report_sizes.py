"""Pages stay small, whatever a run found."""

from __future__ import annotations

from pathlib import Path

from conformance.records import KINDS, RecordWriter, Verdict
from reports.site import FOLDER
from tests.test_report import Parsed, only_pages, pages, write_run


def test_a_default_run_makes_small_pages(tmp_path: Path) -> None:
    """12,000 verdicts make an index far below 300 KB, and no page of more than 1 MB."""
    made = pages(write_run(tmp_path / "run", verdicts=12_000))
    assert len(made["index.html"].encode()) < 300_000
    assert max(len(html.encode()) for html in made.values()) < 1_000_000
    assert "12,012 programs" in made["index.html"]


def test_a_torch_that_fails_everywhere_makes_small_pages(tmp_path: Path) -> None:
    """Every claim deviates in every way on every subject: the index stays below 300 KB.

    What it does not list stands on the page of its claim.
    """
    runs = []
    for torch in range(12):
        with RecordWriter(tmp_path / str(torch)) as writer:
            for claim in range(40):
                for number, kind in enumerate(KINDS * 5):
                    where = (f"claim-{claim}", f"torch=={torch}", f"{number:016x}")
                    writer.write(Verdict(*where, "deviates", kind, f"{kind} {torch} " + "x" * 300))
        runs.append(tmp_path / str(torch))
    made = only_pages(pages(*runs))
    assert len(made["index.html"].encode()) < 300_000
    assert max(len(html.encode()) for html in made.values()) < 1_000_000
    last = Parsed(made[f"{FOLDER}/claim-claim-39.html"])
    assert sum("finding-" in link for link in last.links) >= len(KINDS) * 5
    assert "they stand on the pages of their claims" in Parsed(made["index.html"]).text
