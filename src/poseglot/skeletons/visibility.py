"""What is seen in a stored clip: numpy only, so that reading and inspecting data do without torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from poseglot.skeletons.layout import Layout


def seen_mask(joints: npt.NDArray[np.floating], *, has_scores: bool = False) -> npt.NDArray[np.bool_]:
    """Return which joints (..., V) of (..., V, C) are seen, as pipelines have it.

    With scores, those whose score is above 0; without, those with any coordinate that is not 0.
    """
    seen: npt.NDArray[np.bool_] = joints[..., -1] > 0 if has_scores else (joints != 0).any(axis=-1)
    return seen


def centre_coverage(joints: npt.NDArray[np.floating], layout: Layout, *, has_scores: bool = False) -> float:
    """Return the share of the frames with a person in which a centre joint of the layout is seen.

    If it is 0, the transforms that centre clips take the mean of the seen joints instead. If it is low throughout a data set, the scores
    do not tell which joints are seen (Kinect writes 0 for joints that it inferred): read the coordinates without them.

    Args:
        joints: (M, T, V, C) coordinates, with each joint's score behind them if `has_scores`.
        layout: The layout of the joints.
        has_scores: Whether the last channel is the confidence in each joint. Without scores the centre joint is seen with its person,
            since it may well lie at zero.

    Returns:
        A share between 0 and 1; 0 of a clip without people.
    """
    seen = seen_mask(joints, has_scores=has_scores)
    persons = seen.any(axis=-1)  # (M, T)
    frames = int(persons.any(axis=0).sum())
    centre = seen[..., layout.centre_index] if has_scores else persons
    return int(centre.any(axis=0).sum()) / frames if frames else 0.0
