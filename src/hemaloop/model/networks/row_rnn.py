"""S1's comparator: a recurrent network that reads an image band by band."""

from typing import Any

from keras import layers

from hemaloop.model.networks.ends import FEATURES

UNITS = 128
_ROWS = (4, 3, 2, 1)  # of a band, the first that divides the image


def body(scaled: Any) -> Any:
    """A gated recurrent unit over bands of four rows, from the top; its last state is the features.

    A band is one step, (S / 4, 12 S). Source: Mahale et al. 2025, JISEM 10(10s) says "RNN" and no more. Cho et al.
    2014, "Learning phrase representations using RNN encoder-decoder", for the unit; a plain recurrent layer over single
    rows learned nothing on these images.
    """
    side_px = scaled.shape[1]
    rows = next(rows for rows in _ROWS if side_px % rows == 0)
    bands = layers.Reshape((side_px // rows, rows * 3 * side_px), name="bands")(scaled)
    # Unrolled, so that a converted file holds plain integer layers and no loop.
    return layers.GRU(UNITS, unroll=True, name=FEATURES)(bands)
