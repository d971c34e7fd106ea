"""The streaming system's features of cells (S5): shape, texture, statistics and colour, as a table."""
