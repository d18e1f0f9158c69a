"""Corpora: programs with what must become of them, recorded once and replayed anywhere."""
