"""The commands, a file for each: what it takes (`add`), and the function that does it.

Heavy rooms (training, pictures) are imported inside the functions that need them: `poseglot predict` loads no text encoder.
"""
