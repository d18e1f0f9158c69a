"""Programs that nobody would draw: drawn ones with a few fields changed at random."""

from __future__ import annotations

import json
import random
from typing import Any

from strategies.build import Recipe, build
from strategies.choices import Seeded
from strategies.program import encode
from strategies.table import OPERATIONS

VALUES: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 2, 3, -2, 0.5, -0.5, 1.5, 10**400),
    *([], [0], [1, 0], [-1], [2, -1], [0, 1], [1, 1, -1], [-1, 2], [3, -1, 2]),
    *(["..."], [0, "..."], ["...", 0], ["...", "..."], [[None, None, 2]], [[1, None, None], 0]),
    *([[-1, 9, 1]], [[0, 0, 2]], [[None, None, 0]], [1 << 20, 1 << 20]),
)
"""Values of parameters, each right for some kind and wrong for others."""

RECIPE = Recipe(most_steps=8, most_leaves=2, retain=50)


def mutants(*, seed: int, count: int) -> list[str]:
    """JSON of drawn programs after one to three random changes each."""
    choose = random.Random(seed)
    made = []
    for index in range(count):
        program = json.loads(encode(build(Seeded(seed, index), RECIPE)))
        for _ in range(choose.randint(1, 3)):
            _change(choose, program)
        made.append(json.dumps(program))
    return made


def _change(choose: random.Random, program: dict[str, Any]) -> None:
    step = choose.choice(program["steps"])
    names = [leaf["name"] for leaf in program["leaves"]]
    names += [name for one in program["steps"] for name in one.get("to", ())]
    if step["do"] == "backward":
        step["of"] = [choose.choice(names)]
        return
    what = choose.choice(("operand", "number", "parameter", "operation", "way", "shape"))
    args = step["args"]
    if what == "operand":
        args[choose.randrange(len(args))] = choose.choice(names)
    elif what == "number":
        args[choose.randrange(len(args))] = choose.choice((0, 1.5, -2, 3))
    elif what == "parameter":
        for param in OPERATIONS[step["op"]][0].params[:1]:
            step.setdefault("params", {})[param.name] = choose.choice(VALUES)
    elif what == "operation":
        _replace(choose, step, names)
    elif what == "way":
        step["via"] = choose.choice(("", "method", "function", "operator", "module", "F_"))
    else:
        leaf = choose.choice(program["leaves"])
        leaf["shape"] = [choose.randint(0, 3) for _ in range(choose.randint(0, 4))]
        leaf["data"] = {"generator": "dyadic", "seed": 1}


def _replace(choose: random.Random, step: dict[str, Any], names: list[str]) -> None:
    """Another operation of the same form, with as many operands as it takes."""
    in_place = OPERATIONS[step["op"]][1]
    step["op"] = choose.choice([op for op, (_, form) in OPERATIONS.items() if form == in_place])
    step["via"] = ""
    step.pop("params", None)
    count = len(OPERATIONS[step["op"]][0].operands)
    step["args"] = [*step["args"], *choose.choices(names, k=count)][:count]
    params = OPERATIONS[step["op"]][0].params
    if params and choose.random() < 0.7:
        step["params"] = {param.name: choose.choice(VALUES) for param in params}
