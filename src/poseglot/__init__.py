"""Poseglot: skeleton-based action recognition that learns from language (GAP, ICCV 2023, and beyond).

A skeleton clip goes in, an action comes out. While training, descriptions of every action guide the features of each body
part; at test time only the skeleton encoder runs. Importing this package loads nothing heavy: take what you need from
its rooms (`poseglot.skeletons`, `poseglot.descriptions`, `poseglot.models`, `poseglot.training`, `poseglot.inference`, ...).
"""

__version__ = "0.1.0"
