"""The networks that can be trained, each with a layer "features" and a last layer "probabilities"."""
