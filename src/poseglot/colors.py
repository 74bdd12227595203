"""The colors of the body parts, wherever they are drawn."""

from __future__ import annotations

from collections.abc import Mapping

from poseglot.skeletons.layout import PARTS

# Okabe and Ito's colors, told apart by people with any kind of color vision.
PART_COLORS: Mapping[str, str] = dict(
    zip(PARTS, ("#D55E00", "#0072B2", "#56B4E9", "#CC79A7", "#009E73", "#E69F00"), strict=True)
)
