"""Skeletons: layouts and graphs, clips, the packed store, streams, transforms, readers, the synthetic set. Knows no other room."""
