"""Tools of this repository, which are not installed with the suite."""
