"""Random fills, with parameters for which only one number can come.

What the other parameters give depends on a generator; a claim asks those by scripts. Autograd does
not look at the parameters: here and there the old value gets a gradient of zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from strategies.table.results import pointwise
from strategies.table.row import Param, Params, Row, operands


def _value(m: Any, self: Any, *, at: float) -> Any:
    return m.apply("copy", at)


def _one(m: Any, self: Any) -> Any:
    return m.apply("copy", 1.0)


def _fill(
    name: str,
    arguments: str,
    *choices: float,
    meaning: Callable[..., Any] = _value,
) -> Row:
    """A fill that is called with `arguments`, in which {at} is one of the choices."""
    return Row(
        name,
        operands("self"),
        pointwise,
        meaning,
        {},
        {"method": f"{{0}}.{name}_({arguments})"},
        (Param("at", "float", None, choices, required=True),) if choices else (),
        derivative="zeros_like(grad)",
        fits=lambda layouts, params: _leaves_no_choice(name, choices, params),
    )


def _leaves_no_choice(name: str, choices: tuple[float, ...], params: Params) -> str:
    if not choices or params["at"] in choices:
        return ""
    return f"{name}_ is written with one of {', '.join(map(str, choices))}"


# The least positive number is lost when it is added to any other; the largest below 1 as a
# probability of success leaves no room for a failure.
ROWS: tuple[Row, ...] = (
    _fill("uniform", "{at}, {at}", 0.5, -1.0, 2.0),
    _fill("normal", "{at}, 0.0", 0.5, -1.0, 2.0),
    _fill("random", "{at}, {at} + 1", 3, 0, 7),
    _fill("bernoulli", "{at}", 1.0, 0.0),
    _fill("cauchy", "{at}, 5e-324", 0.5, -1.0, 2.0),
    _fill("log_normal", "0.0, 5e-324", meaning=_one),
    _fill("geometric", "0.9999999999999999", meaning=_one),
)
