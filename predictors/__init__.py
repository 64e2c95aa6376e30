"""Predictors: they score computation graphs, each one entry point of the group ``nasengine.predictors``."""
