"""Models: skeleton encoders, text encoders, the recognizer, its fused and continual forms, and checkpoints of other software."""
