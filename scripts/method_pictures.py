"""Draws the pictures of docs/method.md as SVG: the method at a glance, the partitions of the body, the alignment's matrix.

The skeleton is a frame of the built-in synthetic set, its parts and colors are the package's own, the sentences are
those of the packaged description set. Drawn again by

    python scripts/method_pictures.py docs/pictures
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poseglot.colors import PART_COLORS
from poseglot.data.synthetic import ACTIONS, make_clips
from poseglot.descriptions import load_descriptions
from poseglot.skeletons.layout import Layout, load_layout
from poseglot.skeletons.orientation import clip_picture

Points = npt.NDArray[np.float64]
INK, SOFT, WORDS, SKELETON = "#222222", "#888888", "#FFF4DC", "#E8F1FA"
ACTION = "kick forward"
# Each group of the partition four is drawn in the color of the part that gives it its name.
GROUPS = {"head": ("head",), "hand": ("hand", "arm"), "hip": ("hip",), "foot": ("leg", "foot")}
PARTITIONS: Mapping[str, Sequence[Sequence[str]]] = {
    "global": [("head", "hand", "arm", "hip", "leg", "foot")],
    "two": [("head", "hand", "arm"), ("hip", "leg", "foot")],
    "four": list(GROUPS.values()),
    "six": [(part,) for part in PART_COLORS],
}


def pose() -> Points:
    """Joints (V, 2) of a person in mid-kick, y downwards, about 1 high."""
    clip = clip_picture(make_clips(persons=3, cameras=1, repeats=1)[ACTIONS.index(ACTION) * 3 + 1], load_layout("kinect20"))[0][
        0
    ]
    spread = np.linalg.norm(clip - clip.mean(axis=1, keepdims=True), axis=-1).sum(axis=1)
    x, y, z = clip[int(spread.argmax())].T
    points = np.stack([0.85 * x - 0.5 * z, -y], axis=1)  # seen a little from the side
    points -= (points.min(axis=0) + points.max(axis=0)) / 2
    return np.asarray(points / np.ptp(points[:, 1]), dtype=np.float64)


def skeleton(layout: Layout, points: Points, colors: Mapping[str, str], radius: float) -> str:
    """Bones and joints; a bone has the color of the joint that it ends in."""
    part_of = {joint: part for part, joints in layout.parts.items() for joint in joints}
    at = dict(zip(layout.joints, points, strict=True))
    shapes = [
        f'<line x1="{at[parent][0]:.1f}" y1="{at[parent][1]:.1f}" x2="{at[child][0]:.1f}" y2="{at[child][1]:.1f}" '
        f'stroke="{colors[part_of[child]]}" stroke-width="{radius}" stroke-linecap="round"/>'
        for child, parent in layout.bones.items()
    ]
    shapes += [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colors[part_of[joint]]}"/>' for joint, (x, y) in at.items()
    ]
    return "".join(shapes)


def box(x: float, y: float, width: float, height: float, lines: Sequence[str], *, fill: str = "#FFFFFF") -> str:
    """A box with its text in the middle; the first line is bold."""
    first = y + height / 2 - 8.5 * (len(lines) - 1) + 5
    texts = [
        text(x + width / 2, first + 17 * place, line, anchor="middle", bold=place == 0) for place, line in enumerate(lines)
    ]
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{fill}" stroke="{INK}" stroke-width="1.3"/>'
        + "".join(texts)
    )


def text(x: float, y: float, words: str, *, anchor: str = "start", bold: bool = False, size: int = 14, fill: str = INK) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{fill}"{weight}>{escape(words)}</text>'


def arrow(*points: tuple[float, float]) -> str:
    path = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{INK}" stroke-width="1.5" marker-end="url(#head)"/>'


def svg(width: int, height: int, title: str, shapes: Sequence[str]) -> str:
    """A picture on white, so that it can be read on a dark page, too."""
    head = (
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{INK}"/></marker></defs>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" role="img">'
        f'<title>{escape(title)}</title>{head}<rect width="{width}" height="{height}" rx="10" fill="#FFFFFF"/>{"".join(shapes)}</svg>\n'
    )


def overview(layout: Layout, points: Points) -> str:
    """The whole method: above what is left at test time, below what there is in training only."""
    described = load_descriptions("demo").classes[ACTION]
    colors = {part: PART_COLORS[group] for group, parts in GROUPS.items() for part in parts}
    shapes = [
        f'<rect x="10" y="10" width="940" height="215" rx="10" fill="{SKELETON}"/>',
        text(24, 34, "training and test time", size=13, fill=SOFT),
        text(24, 250, "training only", size=13, fill=SOFT),
        skeleton(layout, points * 140 + (90, 118), colors, 4),
        text(90, 218, "clip (M, T, V, C)", anchor="middle", size=13),
        arrow((160, 130), (206, 130)),
        box(208, 90, 150, 80, ["skeleton encoder", "E_s, CTR-GCN"]),
        arrow((358, 130), (404, 130)),
        box(406, 90, 150, 80, ["joint features", "a vector for each", "joint and frame"]),
        arrow((556, 130), (602, 130)),
        box(604, 90, 150, 80, ["mean over all", "then the classifier"]),
        arrow((754, 130), (800, 130)),
        box(802, 90, 136, 80, ["action", "loss: L_cls"]),
        arrow((481, 170), (481, 262)),
    ]
    levels = [
        (PART_COLORS[group], parts, ", ".join(described.parts[part] for part in parts)) for group, parts in GROUPS.items()
    ]
    levels.append((SOFT, ("whole body",), f"or a synonym: {', '.join(described.synonyms[:3])}, …"))
    for place, (color, parts, said) in enumerate(levels):
        shapes.append(level(268 + 58 * place, color, parts, f"{ACTION}: {said}" if place < 4 else f"{ACTION}, {said}"))
    said = [
        "Each part is a level of its own: its features,",
        "the mean over its joints, are pulled towards",
        "the sentence about it and away from those",
        "of other actions. One more level holds the",
        "whole body beside the action's names.",
    ]
    shapes += [
        *(text(24, 300 + 20 * place, line) for place, line in enumerate(said)),
        text(24, 440, "L  =  L_cls  +  λ · mean of all L_con", size=18, bold=True),
        text(24, 466, "Afterwards all of this is dropped.", fill=SOFT),
        box(632, 582, 318, 34, ["text encoder E_t: text → vector"], fill=WORDS),
        arrow((791, 582), (791, 554)),
    ]
    return svg(960, 630, "The method: a skeleton encoder and a text encoder, aligned part by part while training", shapes)


def level(y: float, color: str, parts: Sequence[str], said: str) -> str:
    """A part's pooled features, and the sentence that they are pulled towards."""
    lines = wrapped(said, 50)
    edge = f'stroke="{color}" stroke-width="2"'
    return "".join(
        [
            f'<rect x="406" y="{y}" width="150" height="48" rx="8" fill="{color}" fill-opacity="0.25" {edge}/>',
            text(481, y + 20, f"mean: {', '.join(parts)}", anchor="middle", size=12, bold=True),
            text(481, y + 37, "linear → text width", anchor="middle", size=12),
            f'<line x1="556" y1="{y + 24}" x2="632" y2="{y + 24}" stroke="{color}" stroke-width="3"/>',
            f'<rect x="562" y="{y + 13}" width="64" height="22" rx="11" fill="#FFFFFF" {edge}/>',
            text(594, y + 29, "L_con", anchor="middle", size=13, bold=True),
            f'<rect x="632" y="{y}" width="318" height="48" rx="8" fill="{WORDS}" {edge}/>',
            *(text(642, y + (20 if len(lines) == 2 else 29) + 17 * number, line, size=12) for number, line in enumerate(lines)),
        ]
    )


def wrapped(words: str, width: int) -> list[str]:
    """Two lines at most, the second cut with dots."""
    lines = [""]
    for word in words.split():
        if len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines if len(lines) <= 2 else [lines[0], lines[1][: width - 2].rstrip(" ,") + " …"]


def partitions(layout: Layout, points: Points) -> str:
    """One body for each partition, a color for each part."""
    shapes = []
    for place, (name, groups) in enumerate(PARTITIONS.items()):
        middle = 120 + 240 * place
        colors = {part: SOFT if name == "global" else PART_COLORS[group[0]] for group in groups for part in group}
        shapes += [
            skeleton(layout, points * 190 + (middle, 125), colors, 5),
            text(middle, 250, name, anchor="middle", bold=True, size=16),
        ]
        for number, group in enumerate(groups):
            color = colors[group[0]]
            said = "the whole body" if name == "global" else " + ".join(group)
            shapes += [
                f'<circle cx="{middle - 62}" cy="{268 + 18 * number}" r="5" fill="{color}"/>',
                text(middle - 50, 273 + 18 * number, said, size=13),
            ]
    return svg(960, 380, "The partitions: global, two, four and six parts", shapes)


def matrix() -> str:
    """A batch of five clips, two of which are of one class: cosines and what they should be."""
    labels = ["squat", "bow", "squat", "nod", "kick"]
    shapes = []
    for left, title in ((150, "softmax of cosines / τ, row by row"), (610, "target y, row by row")):
        shapes.append(text(left + 130, 30, title, anchor="middle", bold=True))
        for row, label in enumerate(labels):
            shapes += [
                text(left - 10, 82 + 52 * row, label, anchor="end", size=13),
                text(left + 26 + 52 * row, 322, f"“{label}”", anchor="middle", size=11),
            ]
            for column, other in enumerate(labels):
                same = label == other
                share = 1 / labels.count(label) if same else 0.0
                shown = (
                    share if left > 400 else [0.08, 0.06, 0.11, 0.05, 0.04][(row + column) % 5] + (0.7 * share if same else 0)
                )
                shapes.append(
                    f'<rect x="{left + 52 * column}" y="{52 + 52 * row}" width="50" height="50" rx="4" fill="{PART_COLORS["hand"]}" '
                    f'fill-opacity="{0.06 + 0.8 * shown:.2f}"/>'
                )
                if left > 400:
                    shapes.append(text(left + 25 + 52 * column, 82 + 52 * row, f"{share:g}", anchor="middle", size=13))
    shapes += [
        text(495, 190, "KL", anchor="middle", bold=True, size=18),
        text(20, 190, "clips", size=13, fill=SOFT),
        text(280, 345, "texts", anchor="middle", size=13, fill=SOFT),
        text(740, 345, "texts", anchor="middle", size=13, fill=SOFT),
    ]
    return svg(
        960, 360, "Every clip of a batch against every text, and the target: equal shares for the texts of its class", shapes
    )


def main(out: Path) -> None:
    layout, points = load_layout("kinect20"), pose()
    for name, picture in (
        ("method.svg", overview(layout, points)),
        ("partitions.svg", partitions(layout, points)),
        ("alignment.svg", matrix()),
    ):
        (out / name).write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
