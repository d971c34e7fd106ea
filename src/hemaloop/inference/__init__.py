"""The one classifier: the same code on the device, in evaluation, in MLflow and in the command line."""
