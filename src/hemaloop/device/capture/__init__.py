"""From a camera to the bucket: which frames, at which quality, and where they wait."""
