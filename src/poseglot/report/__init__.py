"""Reports: pictures (and later pages) made from runs."""
