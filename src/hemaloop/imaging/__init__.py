"""OpenCV: decode, measure, compare and draw images. Light enough for a device."""
