"""The oracle: values and gradients from jax. numpy decides where, jax decides what.

`Assembly` records a program over cells; `conformance.oracle.machine.Machine` runs it. jax is
imported by the latter alone.
"""

from conformance.oracle.assembly import Assembly, Handle

__all__ = ["Assembly", "Handle"]
