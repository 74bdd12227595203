"""Inference: a trained skeleton encoder and classifier, without text (the paper's "no extra cost at test time").

Importing this room loads no text encoder, loss, Fabric or transformers; a test in a fresh interpreter holds it.

    predictor      clips -> probabilities, features
    inputs         files, arrays and videos -> a recognizer's evaluation input
    streaming      frames -> running probabilities
    segmentation   long recordings -> segments
    batch          archives, in shards, locally or on Ray
    export         ONNX files
    video/         pose estimators, drawing, the webcam
"""

from poseglot.inference.inputs import LoadedClip
from poseglot.inference.prediction import ClassScore, Prediction
from poseglot.inference.predictor import Predictor
from poseglot.inference.streaming import StreamingRecognizer

__all__ = ["ClassScore", "LoadedClip", "Prediction", "Predictor", "StreamingRecognizer"]
