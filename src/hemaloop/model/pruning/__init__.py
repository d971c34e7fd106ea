"""Make a trained network smaller: whole channels removed, or single weights set to zero."""
