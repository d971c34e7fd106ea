"""From an object in the bucket to an accepted upload, or a quarantined one."""
