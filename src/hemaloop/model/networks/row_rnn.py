"""S1's comparator: a recurrent network that reads an image row by row."""

from typing import Any

from keras import layers

from hemaloop.model.networks.ends import FEATURES

UNITS = 128


def body(scaled: Any) -> Any:
    """h_t = tanh(W x_t + U h_{t-1} + b) over the rows x_t of the image, from the top; the last state is the features.

    Source: Mahale et al. 2025, JISEM 10(10s) says "RNN" and no more. Taken here: one plain recurrent layer (Elman 1990,
    "Finding Structure in Time") of 128 units whose step is one row with its three colours, (S, 3 S).
    """
    side_px = scaled.shape[1]
    rows = layers.Reshape((side_px, 3 * side_px), name="rows")(scaled)
    # Unrolled, so that a converted file holds plain integer layers and no loop.
    return layers.SimpleRNN(UNITS, unroll=True, name=FEATURES)(rows)
