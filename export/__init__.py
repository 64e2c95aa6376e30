"""Exporters for runtimes, each one entry point of the group ``nasengine.exporters``."""
