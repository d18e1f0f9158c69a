"""The model: which step raises and why, and every tensor's flags, before any torch has run."""

from conformance.model.errors import Kind, classify, fragments
from conformance.model.predict import QUIRKS, predict
from conformance.model.prediction import Flags, Prediction, Raises

__all__ = ["QUIRKS", "Flags", "Kind", "Prediction", "Raises", "classify", "fragments", "predict"]
