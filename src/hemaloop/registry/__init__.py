"""MLflow: what was trained, from what, how good it is, and which version is the champion."""
