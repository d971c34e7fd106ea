"""Where a device's images come from, behind one Protocol."""
