"""Exporters for runtimes, each one entry point of the group ``nasengine.exporters``."""

import os

# From 1.29 on, onnxruntime tells its makers about processes and models and writes an identifier to the temporary
# folder, unless this is set before it is imported. nasengine contacts nobody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
