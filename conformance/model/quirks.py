"""Places where torch does not do what its documentation says, as the model knows them by name."""

from __future__ import annotations

NO_GRAD_VIEW = "no-grad-view-requires-grad"
STALE_LEAF = "stale-view-counts-as-leaf"
BEHIND_VIEW = "result-is-a-view"
UNWATCHED = "kron-saves-out-of-sight"
QUIRKS = frozenset({NO_GRAD_VIEW, STALE_LEAF, BEHIND_VIEW, UNWATCHED})
