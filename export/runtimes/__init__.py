"""Runtimes beside onnxruntime with ONNX files: each an exporter of the same protocol, checked by the same function."""
