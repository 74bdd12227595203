"""Training: a recipe says what, the task is model and loss, the engine runs it; checkpoints make it resumable."""
