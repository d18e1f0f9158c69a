"""Loads the plugin for `pytest conformance`; the command line loads it by itself."""

pytest_plugins = ["conformance.plugin"]
