"""The networks that can be trained: `catalogue.build` makes any of them, with the same first and last layers."""
