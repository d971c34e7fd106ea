"""hemaloop: the loop between cheap microscopes and the classifier that runs on them."""

__version__ = "0.1.0"
