"""NASNetMobile, with which S3 compares MobileNetV2."""

import re
from typing import Any

import keras

from hemaloop.model.networks.ends import pooled

CELLS = ("stem_1", "stem_2", "0", "1", "2", "3", "reduce_4", "5", "6", "7", "8", "reduce_8", "9", "10", "11", "12")


def body(scaled: Any, dense_units: int) -> Any:
    """Keras's own layers, then the mean over places. Its ImageNet weights want [-1, 1], which it does not do itself.

    Source: Zoph et al. 2018, "Learning Transferable Architectures for Scalable Image Recognition", arXiv:1707.07012.
    """
    published = keras.applications.NASNetMobile(include_top=False, weights=None, input_tensor=scaled)
    return pooled(published.output, dense_units)


def block_of(layer: str) -> int:
    """0 the stem, 1 to 16 the cells, 17 what follows; Keras ends the names of a cell's layers with its own.

    Layers without weights may be named otherwise: whether they learn makes no difference.
    """
    found = re.search(r"_(stem_[12]|reduce_\d+|\d+)$", layer)
    if found and found[1] in CELLS and not layer.startswith("stem_"):
        return CELLS.index(found[1]) + 1
    return 0 if layer.startswith("stem_") else len(CELLS) + 1
