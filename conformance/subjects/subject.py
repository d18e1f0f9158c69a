"""What every subject offers, however it runs its programs."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from conformance.subjects.observation import Observation
from conformance.subjects.protocol import Hello
from strategies.transforms import TRANSFORMS

if TYPE_CHECKING:
    from typing_extensions import Self


class Subject(abc.ABC):
    """An implementation under test: interpreter, torch, device and mode.

    ``name`` is how the user named it; everything else it said of itself in its ``hello``.
    """

    def __init__(self, name: str, hello: Hello, mode: str = "eager") -> None:
        self.name = name
        self.hello = hello
        self.mode = mode
        self.transform = TRANSFORMS.get(mode)
        """What becomes of the functions of programs; None where they run as they are."""

    @property
    def compiles(self) -> bool:
        """Whether its programs are compiled, in part."""
        return self.transform is not None and self.transform.compiles

    @property
    def torch(self) -> str:
        """The version of torch, as in "2.13.0+cpu"."""
        return self.hello.torch

    @property
    def python(self) -> str:
        """The version of the interpreter, as in "3.11.7"."""
        return self.hello.python

    @property
    def device(self) -> str:
        """The device as torch names it, as in "cuda"."""
        return self.hello.device

    @property
    def device_name(self) -> str:
        """The device as its maker names it."""
        return self.hello.device_name

    @property
    def names(self) -> Mapping[str, frozenset[str]]:
        """The public names of "Tensor", "torch", "nn" and "F"."""
        return self.hello.names

    @abc.abstractmethod
    def run(
        self,
        body: str,
        observe: Sequence[str],
        *,
        watch: bool = True,
        flags: bool = True,
        retained: Sequence[str] = (),
        timeout_s: float = 10.0,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Observation:
        """Run ``body`` in a fresh namespace and report the names in ``observe``.

        With ``watch`` False the body's ``watch(step)`` calls read nothing; with ``flags`` False
        ``is_leaf`` and ``grad_fn`` are not read at the end either. ``retained`` names non-leaves
        whose ``.grad`` is wanted. ``meanwhile`` is called while the program runs, before it in this
        process, and not at all if the program could not be handed over; what it raises is passed
        on. Raises SubjectError where the subject cannot be started again, never for what the
        program does.
        """

    def expect(self, bodies: Sequence[str]) -> None:
        """Be told which bodies are to run next, so as to prepare them; they may or may not come."""
        return

    @abc.abstractmethod
    def close(self) -> None:
        """Let the subject go; any number of times."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()
