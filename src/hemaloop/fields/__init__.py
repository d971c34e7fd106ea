"""Whole fields of blood films: which white cells are in them, how large a pixel is, and how right that is."""
