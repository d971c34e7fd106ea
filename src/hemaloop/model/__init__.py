"""From prepared images to a small .tflite file; the only place where TensorFlow is.

Modules that need TensorFlow import it at their top: call `runtime.start_tensorflow` before importing them. These need
none: evaluation, parameters, prepared, preparation, runtime.
"""
