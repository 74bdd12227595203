"""Models: skeleton encoders, text encoders, the recognizer, and weights of public implementations."""
