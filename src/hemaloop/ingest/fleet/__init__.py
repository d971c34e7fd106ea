"""From reports in the bucket to a table of the fleet, and to what is amiss in the field."""
