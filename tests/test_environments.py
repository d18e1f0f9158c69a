"""`torch==VERSION`: which worker environment it names, read from what is installed there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from conformance.subjects import (
    SubjectError,
    SubjectSpec,
    open_subject,
    parse_subject,
    prepared_subjects,
)
from conformance.subjects.environments import VARIABLE, environments, find_torch, label_of
from tests.environments import fake_environment

ROOT = Path(__file__).parents[1]
HERE = str(torch.__version__)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty, and no other to look in."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_version_names_the_environment_that_holds_it(folder: Path) -> None:
    """The interpreter of `.tox/worker-*` is started, and its torch is judged."""
    public = HERE.partition("+")[0]
    fake_environment(folder / ".tox" / "worker-mine", HERE)
    with open_subject(f"torch=={public}") as subject:
        assert subject.name == f"torch=={public}"
        assert subject.torch == HERE


def test_the_variable_names_one_more_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_environment(folder / "elsewhere" / "worker-old", "1.2.0")
    assert environments() == []
    monkeypatch.setenv(VARIABLE, str(folder / "elsewhere"))
    assert [one.torch for one in environments()] == ["1.2.0"]


def test_environments_are_read_and_not_started(folder: Path) -> None:
    """Versions come from metadata, oldest first: an interpreter that cannot run does not matter."""
    for label, version in (("b", "2.13.0+cpu"), ("a", "2.4.1+cu121"), ("c", "1.12.1")):
        made = fake_environment(folder / ".tox" / f"worker-{label}", version)
        (made / "bin" / "python").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    assert [one.subject for one in environments()] == [
        "torch==1.12.1",
        "torch==2.4.1",
        "torch==2.13.0",
    ]
    assert [one.name for one in prepared_subjects()] == [one.subject for one in environments()]


def test_what_is_no_worker_environment_is_passed_over(folder: Path) -> None:
    """Another environment of tox, one without a torch, one without an interpreter."""
    fake_environment(folder / ".tox" / "selftest", "2.0.1")
    (fake_environment(folder / ".tox" / "worker-a", "2.0.1") / "bin" / "python").unlink()
    (folder / ".tox" / "worker-b" / "bin").mkdir(parents=True)
    (folder / ".tox" / "worker-b" / "bin" / "python").symlink_to(sys.executable)
    assert environments() == []


@pytest.mark.parametrize(
    ("installed", "asked", "found"),
    [
        ("2.4.1", "2.4.1", True),
        ("2.4.1+cu121", "2.4.1", True),
        ("2.4.1+cu121", "2.4.1+cpu", False),
        ("2.4.1", "2.4", False),
        ("2.4.1", "2.4.*", True),
        ("2.14.1", "2.4.1", False),
        ("2.16.0.dev20260101+cpu", "2.16.0.dev20260101", True),
    ],
)
def test_versions_are_those_of_pip(folder: Path, installed: str, asked: str, found: bool) -> None:
    """`==` means what it means to pip: a build's own part of a version need not be named."""
    fake_environment(folder / ".tox" / "worker-one", installed)
    assert (find_torch(asked) is not None) == found


def test_a_version_that_is_not_there_says_what_makes_it(folder: Path) -> None:
    """One sentence, with the command; where tox.ini has no such version, with another way."""
    (folder / "tox.ini").write_text((ROOT / "tox.ini").read_text(encoding="utf-8"))
    with pytest.raises(SubjectError) as refused:
        open_subject("torch==2.4.1")
    assert str(refused.value) == (
        "torch==2.4.1: no worker environment in .tox holds torch 2.4.1; "
        "`tox run -e torch24` makes one."
    )
    with pytest.raises(SubjectError, match=r"2\.5\.1; name an interpreter with python=PATH"):
        open_subject("torch==2.5.1")


def test_the_command_line_refuses_it_with_2(folder: Path) -> None:
    command = [sys.executable, "-m", "conformance.cli", "run", "--subject", "torch==2.4.1"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: torch==2.4.1: no worker environment")
    assert len(done.stderr.splitlines()) == 1
    assert not (folder / "out" / "report.html").exists()


def test_labels_are_those_of_tox(folder: Path) -> None:
    """Without a tox.ini nothing is promised."""
    assert label_of("1.2.0") == ""
    (folder / "tox.ini").write_text((ROOT / "tox.ini").read_text(encoding="utf-8"))
    assert (label_of("1.2.0"), label_of("2.13.0")) == ("torch12", "torch213")


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("torch==2.4.1", SubjectSpec(name="torch==2.4.1", torch="2.4.1")),
        (
            "torch==2.4.1,device=cuda:1",
            SubjectSpec(name="torch==2.4.1,device=cuda:1", torch="2.4.1", device="cuda:1"),
        ),
    ],
)
def test_names_are_understood(text: str, spec: SubjectSpec) -> None:
    assert parse_subject(text) == spec


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("torch==", "is no version"),
        ("torch==new", "'new' is no version of torch; name one as in torch==2.4.1"),
        ("torch=2.4.1", "possible are"),
        ("torch==2.4.1,python=py", "more than one interpreter"),
        ("torch==2.4.1,torch==2.8.0", "more than one interpreter"),
    ],
)
def test_names_that_mean_nothing(text: str, fragment: str) -> None:
    with pytest.raises(SubjectError, match=fragment):
        parse_subject(text)
