"""How much a run does: the profiles that the command line offers."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Profile:
    """Numbers of programs, and whether a run repeats itself.

    `examples` programs are judged for an ordinary claim and `correctness` for the one that the
    suite stands for; `searched` are drawn outside a claim's scope; `scripts` for claims whose cases
    are whole scripts. Each operation of the table gets `turns` programs plain, in place, on a view
    and not. `transformed` programs are judged where functions are compiled or transformed.
    Shrinking gets `shrink_s` seconds a claim.
    """

    name: str
    examples: int
    correctness: int
    scripts: int
    networks: int
    turns: int
    searched: int = 500
    transformed: int = 300
    shrink_s: float = 20.0
    derandomised: bool = False

    @property
    def few_turns(self) -> int:
        """Programs for each way of writing an operation, where a claim puts one scene to all."""
        return -(-self.turns // _TURNS_FOR_ONE)


_TURNS_FOR_ONE = 10


def at_least(profile: Profile, programs: int) -> Profile:
    """The profile with so many programs for each property of a claim, where it has fewer."""
    return replace(
        profile,
        examples=max(profile.examples, programs),
        correctness=max(profile.correctness, programs),
        transformed=max(profile.transformed, programs),
    )


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("quick", 40, 150, 20, 4, 1, transformed=30, derandomised=True),
        Profile("default", 300, 1500, 60, 12, 20),
        Profile("nightly", 5000, 60000, 1000, 30, 300, transformed=20000),
    )
}
