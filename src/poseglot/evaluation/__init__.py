"""Evaluation: numbers in, numbers out. Knows nobody of ours."""
