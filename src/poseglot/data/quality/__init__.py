"""Data quality: issues of clips, statistics, checks, summaries, and verification against the field's arrays."""
