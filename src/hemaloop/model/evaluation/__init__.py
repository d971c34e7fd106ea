"""How a shipped .tflite file is judged: pure functions over labels, probabilities, groups and pixels; no TensorFlow."""
