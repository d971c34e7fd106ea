"""One module a stage of dvc.yaml: read a section of params.yaml and files, call an area, write files and metrics."""
