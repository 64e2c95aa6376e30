"""Computation graphs of networks that were made elsewhere: torch modules and ONNX files."""

from nasengine.tracing.module import trace_module
from nasengine.tracing.onnx_file import read_onnx

__all__ = ["read_onnx", "trace_module"]
