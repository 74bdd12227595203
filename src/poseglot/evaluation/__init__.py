"""Evaluation: metrics, calibration, comparisons, ensembles and zero-shot results. Numbers in, numbers out."""
