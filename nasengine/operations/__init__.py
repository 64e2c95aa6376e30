"""Primitive operations as torch modules, and the candidate operations of cell spaces as small graphs of primitives.

Nothing is imported here: ``candidates`` works without torch.
"""
