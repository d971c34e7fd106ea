"""The published systems, run by this project's own stages on the same images under two protocols, and compared."""
