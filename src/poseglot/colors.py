"""The colour of each body part, for every drawing."""

from __future__ import annotations

from collections.abc import Mapping

# Okabe and Ito's palette, which people with any kind of colour vision can tell apart.
PART_COLORS: Mapping[str, str] = {
    "head": "#D55E00",
    "hand": "#0072B2",
    "arm": "#56B4E9",
    "hip": "#CC79A7",
    "leg": "#009E73",
    "foot": "#E69F00",
}
