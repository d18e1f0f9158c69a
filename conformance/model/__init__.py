"""The model: which step raises and why, and every tensor's flags, before any torch has run."""

from conformance.model.errors import Kind, classify, fragments
from conformance.model.predict import predict
from conformance.model.prediction import Flags, Prediction, Raises
from conformance.model.quirks import QUIRKS

__all__ = ["QUIRKS", "Flags", "Kind", "Prediction", "Raises", "classify", "fragments", "predict"]
