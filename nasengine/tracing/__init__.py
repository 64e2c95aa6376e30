"""Computation graphs of networks that were made elsewhere: torch modules and ONNX files."""

from nasengine.tracing.module import graph_from_module
from nasengine.tracing.onnx_file import graph_from_onnx
from nasengine.tracing.unknown import unknown_operators

__all__ = ["graph_from_module", "graph_from_onnx", "unknown_operators"]
