"""What Hypothesis draws for us depends on its seed alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TEMPTING = "NUMBERS = ({})\n".format(", ".join(str(number) for number in range(100, 500)))
"""A module whose numbers fit into many of the choices that a program is made of."""

HUNTED = """\
from pathlib import Path
from conformance.hunt import Effort, hunt
from strategies.drawing import programs
effort = Effort(150, {seed}, Path("database"), 1.0, "key")
hunt(programs(), lambda program: print(program.id), effort)
"""

OTHERWISE = """\
from hypothesis import given, seed, settings, strategies as st
@seed(7)
@settings(max_examples=200, database=None)
@given(st.integers(0, 999))
def draws(number):
    print(number)
draws()
"""


def printed(script: str, folder: Path) -> list[str]:
    """What the script prints in a process of its own, in a folder from which it may import."""
    path = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    command = [sys.executable, "-c", path + script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_seed_draws_the_same_whatever_is_loaded(tmp_path: Path) -> None:
    """A claim is put alone, with others, within the suite's own tests: to the same programs."""
    (tmp_path / "tempting.py").write_text(TEMPTING)
    for seed in (7, None):
        script = HUNTED.format(seed=seed)
        alone = printed(script, tmp_path)
        assert len(set(alone)) > 75
        assert printed("import tempting\n" + script, tmp_path) == alone


def test_hypothesis_itself_draws_what_is_loaded(tmp_path: Path) -> None:
    """Where it does not any more, `by_seed_alone` has nothing to do and can go."""
    (tmp_path / "tempting.py").write_text(TEMPTING)
    alone = printed(OTHERWISE, tmp_path)
    assert printed("import tempting\n" + OTHERWISE, tmp_path) != alone
