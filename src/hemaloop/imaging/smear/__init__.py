"""Synthetic smears: white cells by class with their published morphology, for when no real images are at hand.

They look like blood and teach nothing about it: every figure measured on them says so.
"""

from hemaloop.imaging.smear.draw import SIDE, draw
from hemaloop.imaging.smear.morphology import CLASSES
from hemaloop.imaging.smear.slide import Slide
from hemaloop.imaging.smear.write import write_smears

__all__ = ["CLASSES", "SIDE", "Slide", "draw", "write_smears"]
