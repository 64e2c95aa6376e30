"""nasengine: from your images and your device to a trained network that fits it.

The core: data types, protocols, algorithms written against protocols, the pipeline and the store. Nothing is imported
here, so that light parts stay light.
"""

__version__ = "0.1.0"
