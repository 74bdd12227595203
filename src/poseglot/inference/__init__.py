"""Recognition without words: only the skeleton encoder and the classifier run here, as the paper promises.

Nothing in this room loads text encoders, losses, Fabric or transformers.
"""

from poseglot.inference.predictor import ClassScore, Prediction, Predictor
from poseglot.inference.streaming import StreamingRecognizer

__all__ = ["ClassScore", "Prediction", "Predictor", "StreamingRecognizer"]
