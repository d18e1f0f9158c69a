"""A browser, where the system has one, and reports for it to look at."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reports.site import Sources, write_report
from tests.test_report import HOSTILE, write_run
from tools.recorded import sources

ROOT = Path(__file__).parents[2]
FAULT = "tests.faults.version_not_bumped"
CLAIM = "saved-inplace-raises"
SCRIPT_FAULT = "tests.faults.relu_in_place_by_default"
SCRIPT_CLAIM = "relu-default"
READ_FAULT = "tests.faults.relu_in_place_that_copies"
READ_CLAIM = "relu-input-changed"
_WANTED = "BROWSER_TESTS"
"""Set by `tox run -e browser`."""
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
"""What the system's Chromium may be called; none is downloaded."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say why these tests are not run where something is missing.

    Among all tests they are then skipped; where they are wanted by name, it is an error.
    """
    why = _missing()
    if why and os.environ.get(_WANTED) == "wanted":
        raise pytest.UsageError(why)
    for item in items:
        if why and item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.skip(reason=why))


def _missing() -> str:
    if chromium() is None:
        return f"not run: the system has no Chromium ({', '.join(_NAMES)}, or CHROMIUM=PATH)"
    for name in ("playwright", "axe_playwright_python"):
        try:
            __import__(name)
        except ImportError:
            return f"not run: {name} is not installed; `tox run -e browser` installs it"
    return ""


def chromium() -> str | None:
    """The system's Chromium."""
    named = os.environ.get("CHROMIUM", "")
    return next(filter(None, map(shutil.which, (named, *_NAMES) if named else _NAMES)), None)


@dataclass
class Looked:
    """A browser's page, with all that it asked for and complained about."""

    page: Any
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, path: Path) -> Any:
        self.page.goto(path.as_uri())
        return self.page


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The system's Chromium, without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=chromium(),
            # Root, as in containers, must do without a sandbox; the pages are our own.
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        yield opened
        opened.close()


@pytest.fixture
def look(browser: Any) -> Iterator[Any]:
    """A function that opens a page with some settings; at the end, nothing may have gone wrong.

    Nothing leaves the machine, and no error is on the console, whatever a test does.
    """
    opened: list[tuple[Any, Looked]] = []

    def with_settings(*, width: int = 1280, scheme: str = "light", script: bool = True) -> Looked:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=script,
            permissions=["clipboard-read", "clipboard-write"],
        )
        looked = Looked(context.new_page())
        looked.page.on("request", lambda request: looked.asked.append(request.url))
        looked.page.on("pageerror", lambda error: looked.complaints.append(str(error)))
        looked.page.on("dialog", lambda dialog: looked.complaints.append(dialog.message))
        looked.page.on(
            "console",
            lambda said: looked.complaints.append(said.text) if said.type == "error" else None,
        )
        opened.append((context, looked))
        return looked

    yield with_settings
    for context, looked in opened:
        context.close()
        assert looked.complaints == []
        assert [url for url in looked.asked if not url.startswith(("file:", "data:"))] == []


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample report."""
    return write_report(sources(), tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report in which every string of the records wants to be markup."""
    folder = tmp_path_factory.mktemp("hostile")
    return write_report(Sources((write_run(folder / "run", HOSTILE),)), folder / "out")


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report that a run leaves of a torch with a planted fault."""
    return run_of(CLAIM, FAULT, tmp_path_factory.mktemp("faulty"))


@pytest.fixture(scope="session")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a claim whose cases are whole scripts."""
    return run_of(SCRIPT_CLAIM, SCRIPT_FAULT, tmp_path_factory.mktemp("scripted"))


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of one whose scripts are read, and drawn."""
    return run_of(READ_CLAIM, READ_FAULT, tmp_path_factory.mktemp("read"))


def run_of(claim: str, fault: str, folder: Path) -> Path:
    """Put a claim to a torch with a fault that it finds; the report that the run leaves."""
    command = [sys.executable, "-m", "conformance.cli", "run", "--profile", "quick"]
    command += ["--claim", claim, "--subject", f"device=cpu,import={fault}", "--out", str(folder)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr.decode()
    return folder / "report.html"
