"""Skeletons: layouts and their graphs, clips and batches of clips, mappings between layouts. Imports no other room."""
