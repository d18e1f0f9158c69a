"""What goes wrong with a subject as such, as opposed to what a program shows about it."""


class SubjectError(Exception):
    """A subject cannot be found, started or understood; its message is one sentence."""
