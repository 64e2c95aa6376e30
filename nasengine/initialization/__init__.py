"""Weights that networks start with: inherited from others, of other depths and widths."""
