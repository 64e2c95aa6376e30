"""Randomness that depends only on names and numbers, so that work can be repeated from any step."""

import hashlib

import torch


def seeded_generator(*key: object) -> torch.Generator:
    """A generator that depends only on ``key``: the seed of the run, the task and the step.

    A step that is run again after an interruption so draws the same numbers, and no generator state is stored.
    """
    return torch.Generator().manual_seed(seed_of(*key))


def seed_of(*key: object) -> int:
    """A whole number of 63 bits that depends only on ``key``."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "little") >> 1
