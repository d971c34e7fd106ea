"""Images that people have, into the bucket by the door that devices use: the image, then its sidecar."""
