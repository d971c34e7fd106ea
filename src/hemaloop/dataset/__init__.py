"""From accepted uploads to a dataset revision: batches, groups, split, git and DVC."""
