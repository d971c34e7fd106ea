"""The only TensorFlow: architecture, training, pruning, quantisation, evaluation."""
