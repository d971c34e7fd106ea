"""Keras models as .tflite files with small numbers: which form, what it costs, and which layers bear it badly."""
