"""Every activation and dropout that takes `inplace`, as the text that calls it."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation's two spellings, the arguments to draw, and the ranks that it accepts.

    `trains` says whether it does something else in training mode, `drops` whether it is a dropout.
    """

    function: str
    module: str
    arguments: tuple[str, ...] = ("",)
    ranks: tuple[int, ...] = (0, 1, 2, 3)
    drops: bool = False
    trains: bool = False


def _dropout(function: str, module: str, *ranks: int) -> Activation:
    shares = ("0.5", "0.0", "0.25", "1.0")
    return Activation(function, module, shares, ranks, drops=True, trains=True)


ACTIVATIONS: dict[str, Activation] = {
    activation.module: activation
    for activation in (
        Activation("relu", "ReLU"),
        Activation("relu6", "ReLU6"),
        Activation("hardtanh", "Hardtanh", ("", "-0.5, 0.5", "0.0, 2.0")),
        Activation("threshold", "Threshold", ("0.0, 0.0", "0.5, -2.0", "-0.5, 1.0")),
        Activation("leaky_relu", "LeakyReLU", ("", "0.5", "0.0")),
        Activation("elu", "ELU", ("", "0.5", "2.0")),
        Activation("celu", "CELU", ("", "0.5", "2.0")),
        Activation("selu", "SELU"),
        Activation("hardsigmoid", "Hardsigmoid"),
        Activation("hardswish", "Hardswish"),
        Activation("silu", "SiLU"),
        Activation("mish", "Mish"),
        Activation("rrelu", "RReLU", ("", "0.25, 0.5"), trains=True),
        _dropout("dropout", "Dropout", 0, 1, 2, 3),
        _dropout("dropout1d", "Dropout1d", 3),
        _dropout("dropout2d", "Dropout2d", 4),
        _dropout("dropout3d", "Dropout3d", 5),
        _dropout("alpha_dropout", "AlphaDropout", 0, 1, 2, 3),
        _dropout("feature_alpha_dropout", "FeatureAlphaDropout", 2, 3),
    )
}
"""Name of the module -> activation."""


@dataclass(frozen=True, slots=True)
class Call:
    """An activation with its arguments, in training mode or not, by module or by function."""

    activation: Activation
    arguments: str = ""
    training: bool = False
    by_module: bool = True

    def text(self, target: str, inplace: str) -> str:
        """The expression that applies it; `inplace` is "inplace=True" or the like, or empty."""
        trains = self.activation.trains
        if self.by_module:
            mode = f".train({self.training})" if trains else ""
            given = ", ".join(filter(None, (self.arguments, inplace)))
            return f"nn.{self.activation.module}({given}){mode}({target})"
        mode = f"training={self.training}" if trains else ""
        given = ", ".join(filter(None, (target, self.arguments, mode, inplace)))
        return f"F.{self.activation.function}({given})"

    def idle(self, size: int) -> bool:
        """Whether it is a dropout that does nothing to so many elements."""
        if not self.activation.drops:
            return False
        return not self.training or size == 0 or float(self.arguments) == 0.0


@st.composite
def calls(draw: st.DrawFn, *, among: tuple[str, ...]) -> Call:
    """Calls of the modules named; examples shrink towards the first, in evaluation mode."""
    activation = ACTIVATIONS[draw(st.sampled_from(among))]
    training = draw(st.booleans()) if activation.trains else False
    arguments = draw(st.sampled_from(activation.arguments))
    return Call(activation, arguments, training, draw(st.booleans()))
