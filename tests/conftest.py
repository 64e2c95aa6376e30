"""Tests that run side by side (``pytest -n``) take one thread of torch each: waiting threads cost more than they do."""

import os

import torch

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
