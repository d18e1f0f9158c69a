"""The pytest plugin that puts claims on trial.

It is loaded by the command line and by `conftest.py`, never by an entry point, so that it enters
no other project of an environment.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from conformance import collecting
from conformance.claims.claim import UnknownClaim
from conformance.interrupts import INTERRUPTED
from conformance.progress import Progress, Remarks
from conformance.records import RecordError, VerdictWord
from conformance.session import Plan, Session, find_profile
from conformance.subjects import SubjectError
from conformance.trial import Disagreement, GaveUp, NotExercised, Trial
from conformance.usage import UsageError

SESSION = pytest.StashKey[Session]()
EXIT = pytest.StashKey[int]()
REFUSED = pytest.StashKey[str]()
"""Why no run could be opened, in one sentence."""
_USAGE = (UsageError, SubjectError, UnknownClaim, RecordError)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("autograd-conformance")
    group.addoption("--subject", action="append", default=[], help="a subject; may be repeated")
    group.addoption("--claim", action="append", default=[], help="a claim's id; may be repeated")
    group.addoption("--profile", default="default", help="quick, default or nightly")
    group.addoption("--out", default="out", help="the folder for the records")
    group.addoption("--run-seed", type=int, default=None, help="the seed of the run")
    group.addoption("--in-process", action="store_true", help="run eager-cpu without a worker")
    group.addoption("--resume", action="store_true", help="go on with the run in the folder")


def _plan(config: pytest.Config) -> Plan:
    return Plan(
        Path(config.getoption("--out")),
        find_profile(config.getoption("--profile")),
        tuple(config.getoption("--subject")),
        tuple(config.getoption("--claim")),
        config.getoption("--run-seed"),
        config.getoption("--in-process"),
        config.getoption("--resume"),
    )


def _session(config: pytest.Config) -> Session | None:
    """The run: the command line's, or one opened when the first claim's test is collected.

    None where it cannot be opened: the reason is kept until all is collected, since what is raised
    while a module is collected becomes an error of each module.
    """
    if SESSION not in config.stash and REFUSED not in config.stash:
        try:
            session = Session(_plan(config), Progress(Remarks()))
            session.open()
            config.stash[SESSION] = session
        except _USAGE as error:
            config.stash[REFUSED] = str(error)
    return config.stash.get(SESSION, None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "trial" not in metafunc.fixturenames:
        return
    claim = getattr(metafunc.function, "claim_id", None)
    if claim is None:
        raise pytest.UsageError(f"{metafunc.function.__name__} does not say which claim it proves.")
    session = _session(metafunc.config)
    if session is None:
        metafunc.parametrize("trial", [], indirect=True)
        return
    wanted = {c.id for c in session.claims}
    pairs = [
        (claim, name)
        for name in session.subjects
        if claim in wanted and session.asks(claim)(name) and (claim, name) not in session.finished
    ]
    ids = [f"{claim}@{name}" for claim, name in pairs]
    metafunc.parametrize("trial", pairs, ids=ids, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what another choice of claims or an earlier part of the run made unnecessary.

    Raises UsageError, one sentence, where no run could be opened.
    """
    if REFUSED in config.stash:
        raise pytest.UsageError(config.stash[REFUSED])
    if SESSION not in config.stash:
        return
    pairs = [pair for item in items if (pair := _pair(item)) is not None]
    for claim, subject in pairs:
        if pairs.count((claim, subject)) > 1:
            raise pytest.UsageError(f"Two tests prove the claim {claim!r}; make them one.")
    empty = [item for item in items if _is_trial(item) and not _pair(item)]
    items[:] = [item for item in items if item not in empty]
    order = {claim.id: number for number, claim in enumerate(config.stash[SESSION].claims)}
    items.sort(key=lambda item: order.get((_pair(item) or ("", ""))[0], -1))
    config.stash[SESSION].progress.expect(sum(_is_trial(item) for item in items))


def _is_trial(item: pytest.Item) -> bool:
    return "trial" in getattr(item, "fixturenames", ())


def _pair(item: pytest.Item) -> tuple[str, str] | None:
    spec = getattr(item, "callspec", None)
    pair = spec.params.get("trial") if spec is not None else None
    return pair if isinstance(pair, tuple) else None


@pytest.fixture
def trial(request: pytest.FixtureRequest) -> Trial:
    """The trial of this test's claim on one subject."""
    claim, subject = request.param
    return request.config.stash[SESSION].trial(claim, subject)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Turn how a claim's test ends into a verdict in the records, and into pytest's outcome."""
    trial = pyfuncitem.funcargs.get("trial")
    if not isinstance(trial, Trial):
        return (yield)
    session = pyfuncitem.config.stash[SESSION]
    session.interrupts.check()
    collecting.settle()
    try:
        return (yield from _judged(session, trial))
    except RecordError as error:
        raise _broken_off(session, error) from error


def _broken_off(session: Session, error: RecordError) -> Exception:
    """What ends a run whose records cannot be written."""
    session.fault = error
    return pytest.exit.Exception(f"Error: {error}", returncode=2)


def _judged(session: Session, trial: Trial) -> Generator[None, Any, Any]:
    trial.begin()
    lost = session.lost.get(trial.subject_name)
    if lost is not None:
        _end(session, trial, "gave up", lost)
        pytest.fail(lost, pytrace=False)
    try:
        result = yield
    except Disagreement as error:
        _end(session, trial, "deviates")
        pytest.fail(f"{error.finding.kind}: {error}", pytrace=False)
    except NotExercised as reason:
        _end(session, trial, "not exercised", str(reason))
        pytest.skip(str(reason))
    except GaveUp as reason:
        _end(session, trial, "gave up", str(reason))
        pytest.fail(str(reason), pytrace=False)
    except SubjectError as error:
        session.lose(trial.subject_name, str(error))
        _end(session, trial, "gave up", str(error))
        pytest.fail(str(error), pytrace=False)
    except Exception as error:
        _end(session, trial, "suite error", f"{type(error).__name__}: {error}")
        raise
    if _end(session, trial) == "not exercised":
        pytest.skip(trial.note or "no program was judged")
    return result


def _end(
    session: Session, trial: Trial, verdict: VerdictWord | None = None, note: str = ""
) -> VerdictWord:
    final = trial.finish(verdict, note)
    session.done(trial, final)
    return final


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """Show progress around the claims, and check the register before them."""
    run = session.config.stash.get(SESSION, None)
    if run is None or session.config.option.collectonly:
        return (yield)
    with run.progress, run.interrupts, collecting.seldom():
        try:
            run.check_register()
        except RecordError as error:
            raise _broken_off(run, error) from error
        return (yield)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Close the run; an interrupted one has no end, and keeps every verdict that it reached."""
    run = session.config.stash.get(SESSION, None)
    if run is None:
        return
    code = run.exit_code()
    if exitstatus == pytest.ExitCode.INTERRUPTED:
        code = INTERRUPTED
    elif exitstatus == pytest.ExitCode.INTERNAL_ERROR:
        code = 3
    session.config.stash[EXIT] = code
    run.close(code)


def pytest_unconfigure(config: pytest.Config) -> None:
    run = config.stash.get(SESSION, None)
    if run is not None and EXIT not in config.stash:
        run.close(2)
