"""Quality checks: clips that deserve a look, and warnings about a set as a whole.

Recorded skeletons are rarely clean: a tracker swaps people, loses a limb, repeats a frame, or sees one body twice. None of that is an
error for a program, and some of it belongs to the task. Nothing is dropped here; a person judges the findings. `CHECKS` lists every
check of single clips with its limit and its reason. Lengths are in units of a body, so the limits hold for metres and for pixels;
`statistics` says how they are measured.

`check_set` and `check_subsets` warn about a user's own set: mistaken units or scores, which no single clip reveals, and too few clips.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from poseglot.data.quality.statistics import Array, steps, store_statistics, typical_body
from poseglot.data.store import Indices, PackedStore
from poseglot.safe_text import counted
from poseglot.skeletons.clip import evenly_spaced, seen_joints
from poseglot.skeletons.coordinates import CoordinateSummary, bone_excess, measure_clip, summarize, turned_over
from poseglot.skeletons.visibility import centre_coverage, seen_mask


@dataclass(frozen=True)
class Check:
    """A check of single clips. A clip is found if its value is above the limit, or below it where `below` is true.

    Attributes:
        limit: The limit.
        unit: The unit of value and limit.
        reason: What is found and why it deserves a look, with {limit} for the limit.
        below: Whether values below the limit are found.
    """

    limit: float
    unit: str
    reason: str
    below: bool = False

    @property
    def meaning(self) -> str:
        """The reason with its limit."""
        return self.reason.format(limit=f"{self.limit:g}")


@dataclass(frozen=True)
class Finding:
    """A clip that deserves a look.

    Attributes:
        clip: The clip's name.
        check: One of `CHECKS`.
        value, limit: In the unit of the check.
        person, frame: Counted from 1; 0 if the finding is not about one of them (or there is only one person).
        joint: The joint's name; empty if the finding is not about one.
        others: The names of the clips with the same content.
    """

    clip: str
    check: str
    value: float
    limit: float
    person: int = 0
    frame: int = 0
    joint: str = ""
    others: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """Person, frame, joint and other clips as text."""
        said = [f"person {self.person}" * (self.person > 0), f"frame {self.frame}" * (self.frame > 0), self.joint]
        said += [f"as {', '.join(self.others[:3])}{', ...' * (len(self.others) > 3)}"] if self.others else []
        return ", ".join(part for part in said if part)


CHECKS: Mapping[str, Check] = {
    "not_finite": Check(0, "coordinates", "coordinates are NaN or infinite: nothing can be trained on them"),
    "short": Check(8, "frames", "fewer than {limit} frames, a quarter of a second: hardly an action", below=True),
    "absent": Check(0.2, "of the frames", "nobody shows half of their joints in a run of more than {limit} of the frames"),
    "still": Check(
        0.25, "of the frames", "nobody moves, by a thousandth of a body, in a run of more than {limit} of the frames"
    ),
    "stuck_joints": Check(0, "joints", "joints keep their position to the last bit, in a clip where others move"),
    "collapsed": Check(0, "frames", "in some frames a person is smaller than a tenth of the set's median body"),
    "jump": Check(
        0.6, "bodies a frame", "a joint moves by more than {limit} bodies in a frame; a tennis swing reaches about 0.5"
    ),
    "bones": Check(0.25, "of their length", "bones vary by more than {limit} of their length (standard deviation; 3D only)"),
    "size": Check(6, "robust z", "a person's size is more than {limit} deviations from the set's: another unit, or no person"),
    "speed_outlier": Check(
        6, "robust z", "joints are faster than the set's by more than {limit} deviations: noise, lost frames"
    ),
    "duplicate_person": Check(
        0.05, "bodies", "two people less than {limit} bodies apart, on average: one person, tracked twice", below=True
    ),
    "missing_person": Check(2, "people", "one person, in a class for two (NTU: A50-A60, A106-A120)", below=True),
    "extra_person": Check(1, "people", "two people, in a class for one (NTU: the other classes)"),
    "same_content": Check(1, "clips", "clips with different names hold the same coordinates, to the last bit"),
}
TWO_PERSON_CLASSES = (*range(49, 60), *range(105, 120))  # labels of ntu60 and ntu120
_MIN_SPREAD = 0.05  # of a set's sizes and speeds; a smaller spread would make clips of a uniform set outliers

# The box around a person in metres, diagonally: a crouching child, a man with raised arms.
_MIN_METRES, _MAX_METRES = 0.3, 4.0
# Coordinates that range further than this are neither metres around a person nor fractions of a picture.
_MIN_PIXEL_RANGE = 20.0
# Fewer clips than these deserve a warning: of a class in the training set, and in the test set.
_MIN_TRAIN, _MIN_TEST = 5, 100
_MAX_IMBALANCE = 4  # the ratio of the largest class to the smallest
_MAX_NAMES = 5
# How many bodies people travel, and in what share of the clips, before it is locomotion. NW-UCLA, with people who walk to things: 1.
_MAX_TRAVEL, _MAX_TRAVELLERS = 2, 0.05
# The centre joint is seldom seen below this share of the frames.
_MIN_CENTRE_SEEN = 0.5
# Bones that are longer than this, by `bone_excess`, are no bones: 1.1 to 1.3 in sets that are right.
_MAX_BONE_EXCESS = 1.45
# The share of bones' lengths that varies within most clips: 1 to 9 % in MSR-Action3D, SBU and UTKinect; in a single clip up to 21 %.
_MAX_BONE_VARIATION = 0.25
# Clips in which heads must be seen above or below feet, and the share of them that makes most.
_MIN_CLIPS_WITH_HEADS, _MOST = 10, 0.9


def check_clips(store: PackedStore) -> list[Finding]:
    """Find the clips of a store that deserve a look, by check in the order of `CHECKS`, the worst first."""
    body = typical_body(store)
    person, clip = store_statistics(store, body)
    every, of_person = np.arange(len(store)), person["clip"]
    frames, labels, name = store.clips["frames"], store.clips["label"], store.clips["name"]
    unit = np.maximum(person["size"], body / 2 or np.nan)  # a collapsed person is not a unit of length
    present = np.bincount(of_person[person["frames"] > 0], minlength=len(store))
    for_two = np.isin(labels, TWO_PERSON_CLASSES)
    known = (labels >= 0) & (present > 0) & (store.info.name in ("ntu60", "ntu120"))
    _, first, group, alike = np.unique(store.content_hashes(every), return_index=True, return_inverse=True, return_counts=True)
    by_group, ends = np.argsort(group, kind="stable"), np.cumsum(alike)

    # Check -> the clips, and their values (NaN where the check does not apply).
    values: Mapping[str, tuple[Array, Array]] = {
        "not_finite": (every, clip["infinite"]),
        "short": (every, frames),
        "absent": (every, clip["absent"]),
        "still": (every, clip["still"]),
        "stuck_joints": (of_person, np.where(frames[of_person] < CHECKS["short"].limit, 0, person["stuck"])),
        "collapsed": (of_person, person["collapsed"]),
        "jump": (of_person, person["jump"] / unit),
        "bones": (of_person, person["bones"]),
        "size": (of_person, np.abs(_robust_z(person["size"]))),
        "speed_outlier": (of_person, _robust_z(person["speed"] / unit)),
        "duplicate_person": (of_person, person["apart"] / unit),
        "missing_person": (every, np.where(known & for_two, present, np.nan)),
        "extra_person": (every, np.where(known & ~for_two, present, np.nan)),
        "same_content": (first, alike),
    }
    findings: list[Finding] = []
    for check_name, (indices, value) in values.items():
        check = CHECKS[check_name]
        found = np.flatnonzero(value < check.limit if check.below else value > check.limit)
        worst_first = found[np.lexsort((indices[found], value[found] if check.below else -value[found]))]
        _, worst = np.unique(indices[worst_first], return_index=True)  # one finding per clip, of its worst person
        for row in worst_first[np.sort(worst)].tolist():
            index = int(indices[row])
            where: dict[str, Any] = {}
            if indices is of_person and store.clips["num_persons"][index] > 1:
                where["person"] = int(person["person"][row]) + 1
            if check_name == "jump":
                where["frame"], where["joint"] = _locate_jump(store, index, int(person["person"][row]))
            if check_name == "same_content":
                begin, end = ends[group[index]] - alike[group[index]], ends[group[index]]
                where["others"] = tuple(map(str, name[by_group[begin + 1 : end]]))
            findings.append(Finding(str(name[index]), check_name, float(value[row]), check.limit, **where))
    return findings


def _robust_z(values: Array) -> Array:
    """Return how many deviations the logarithm of each value is from the median, by the median absolute deviation of the set."""
    known = np.isfinite(values) & (values > 0)
    z = np.full(len(values), np.nan)
    if np.count_nonzero(known) >= 20:
        logarithm = np.log(values[known])
        centre = np.median(logarithm)
        z[known] = (logarithm - centre) / max(1.4826 * float(np.median(np.abs(logarithm - centre))), _MIN_SPREAD)
    return z


def _locate_jump(store: PackedStore, index: int, person: int) -> tuple[int, str]:
    """Return the frame (from 1) at which the fastest joint arrives, and the joint's name."""
    joints, seen = seen_joints(store[index].joints[person], has_scores=store.info.has_scores)
    step = steps(joints, seen, np.array([0]))
    joint, frame = np.unravel_index(int(np.argmax(step)), step.shape)
    return int(frame) + 1, store.layout.joints[joint]


def coordinate_summary(store: PackedStore, indices: Indices, *, sample: int = 200) -> CoordinateSummary | None:
    """Return what the coordinates of a store's clips are like, from at most `sample` of them."""
    chosen = indices[evenly_spaced(len(indices), sample)]
    return summarize(
        measure_clip(store[index].joints, store.layout, has_scores=store.info.has_scores) for index in chosen.tolist()
    )


def check_centre(store: PackedStore, indices: Indices, *, sample: int = 500) -> list[str]:
    """Return a warning if the centre joint of a store's clips is seldom seen, from at most `sample` of them."""
    if not store.info.has_scores:
        return []
    chosen = indices[evenly_spaced(len(indices), sample)]
    shares = [centre_coverage(store[index].joints, store.layout, has_scores=True) for index in chosen.tolist()]
    share = float(np.mean(shares)) if shares else 1.0
    if share >= _MIN_CENTRE_SEEN:
        return []
    return [
        f"the centre joint ({store.layout.centre}) has a score above 0 in {share:.0%} of the frames, so clips are centred on few frames or "
        "on other joints. If a score of 0 means an inferred joint here, prepare the coordinates alone: --columns 1-3."
    ]


def check_set(store: PackedStore, *, sample: int = 2000) -> list[str]:
    """Return warnings about the units and scores of a store, from at most `sample` frames spread evenly over it."""
    rows = np.asarray(store.joints[evenly_spaced(len(store.joints), sample)], dtype=np.float32)
    last, has_scores = rows[..., -1], store.info.has_scores
    warnings = []
    if has_scores and (last.min() < 0 or last.max() > 1):
        warnings.append(
            f"the scores range from {last.min():.4g} to {last.max():.4g}, but a confidence lies between 0 and 1. If the last number of a "
            "joint is a coordinate, prepare the data again without --scored."
        )
    looks_scored = rows.shape[-1] == 3 and last.min() >= 0 and last.max() <= 1 and np.ptp(rows[..., :2]) > _MIN_PIXEL_RANGE
    if not has_scores and looks_scored:
        warnings.append(
            "the third number of every joint lies between 0 and 1, and the other coordinates are far larger. If it is the confidence in "
            "the joint, prepare the data again with --scored."
        )
    body = typical_body(store)
    if store.info.pipeline == "metric" and not _MIN_METRES <= body <= _MAX_METRES:
        warnings.append(
            f"a person measures {body:,.4g} units from corner to corner, and the pipeline metric uses coordinates as they are. In metres "
            "it would be about 2. Convert millimetres or centimetres, and prepare the data again."
        )
    return warnings + check_joint_order(store) + check_bone_lengths(store) + check_heads(store)


def choose_pipeline(store: PackedStore, *, sample: int = 200) -> tuple[str, str]:
    """Return the pipeline that fits a user's own clips, and why it is another than their number of dimensions suggests, or "".

    `metric` uses coordinates as they are. Where people walk about they would hardly repeat, and in other units than metres they are too
    large; `image` fits the box around a clip.
    """
    if store.info.pipeline != "metric":
        return store.info.pipeline, ""
    body = typical_body(store)
    if not _MIN_METRES <= body <= _MAX_METRES:
        return "image", f"a person measures {body:,.4g} units, so coordinates are not metres"
    indices = evenly_spaced(len(store), sample).tolist()
    share = float(np.mean([_travel(store, index) > _MAX_TRAVEL * body for index in indices]))
    if share > _MAX_TRAVELLERS:
        return "image", f"in {share:.0%} of the clips somebody travels further than {_MAX_TRAVEL} bodies"
    return "metric", ""


def _travel(store: PackedStore, index: int) -> float:
    """Return the diagonal of the box around the places of a clip's first person."""
    joints = store[index].joints[0]
    seen = seen_mask(joints, has_scores=store.info.has_scores)
    there = seen.any(axis=1)
    position, seen = joints[there, :, : joints.shape[-1] - store.info.has_scores], seen[there]
    if not len(position):
        return 0.0
    places = (position * seen[..., None]).sum(axis=1) / seen.sum(axis=1, keepdims=True)
    return float(np.linalg.norm(places.max(axis=0) - places.min(axis=0)))


def check_joint_order(store: PackedStore, *, sample: int = 50) -> list[str]:
    """Return a warning if the bodies of a store cannot be, from at most `sample` clips: their joints are in another order."""
    excess, worst = [], Counter[tuple[str, str]]()
    for index in evenly_spaced(len(store), sample).tolist():
        joints = store[index].joints[0]
        position = joints[..., : joints.shape[-1] - store.info.has_scores].astype(np.float64)
        seen = seen_mask(joints, has_scores=store.info.has_scores) & position.any(axis=-1)
        factor, bones = bone_excess(position[seen.any(axis=1)], store.layout, seen=seen[seen.any(axis=1)])
        if factor > 0:
            excess.append(factor)
            worst.update(bones)
    if not excess or float(np.median(excess)) < _MAX_BONE_EXCESS:
        return []
    named = ", ".join(f"{child} to {parent}" for (child, parent), _ in worst.most_common(3))
    return [
        f"bodies look impossible: their bones are {np.median(excess):.1f} times as long as the shortest tree between the joints (about 1.2 "
        f"for people), most of all {named}. The joints are probably in another order than those of layout {store.layout.name}: give it "
        "with --joints."
    ]


def check_bone_lengths(store: PackedStore, *, sample: int = 50) -> list[str]:
    """Return a warning if the bones of most 3D clips change their length: they join joints that no bone joins, or joints jump."""
    if store.joints.shape[-1] - store.info.has_scores != 3:
        return []  # in a picture bones are foreshortened
    child, parent = np.array(store.layout.bone_pairs).T
    variations = []
    for index in evenly_spaced(len(store), sample).tolist():
        joints = store[index].joints[0]
        seen = seen_mask(joints, has_scores=store.info.has_scores) & joints[..., :3].any(axis=-1)
        there = (seen[:, child] & seen[:, parent]).all(axis=1)
        if there.sum() > 1:
            length = np.linalg.norm(joints[there][:, child, :3] - joints[there][:, parent, :3], axis=-1)
            variations.append(float(length.std(axis=0).sum() / max(float(length.mean(axis=0).sum()), 1e-9)))
    if not variations or float(np.median(variations)) < _MAX_BONE_VARIATION:
        return []
    return [
        f"bones change their length by {np.median(variations):.0%} within a clip (of people about 10 %): the joints are in another "
        f"order than those of layout {store.layout.name}, or they jump. `poseglot info` lists clips."
    ]


def check_heads(store: PackedStore, *, sample: int = 200) -> list[str]:
    """Return a warning if heads are below feet, judged over the whole store: people in single clips may lie or stand on their hands.

    Heads are above feet along y in some sensors' axes, and along -y in others'. So in 3D it is -z that no sensor has, and a set that has
    a direction and its opposite.
    """
    rows = evenly_spaced(len(store), sample).tolist()
    measured = (measure_clip(store[row].joints, store.layout, has_scores=store.info.has_scores) for row in rows)
    ups = Counter(clip.up for clip in measured if clip.up is not None)
    total = ups.total()
    if total < _MIN_CLIPS_WITH_HEADS:
        return []
    up, count = ups.most_common(1)[0]
    if count >= _MOST * total and (up == "-z" or (up == "+y" and _in_pixels(store))):
        runs = (
            "z, which points up in all sensors' axes where it is not depth" if up == "-z" else "y, which runs down in pictures"
        )
        return [
            f"heads are below feet in {count:,} of {total:,} clips along {runs}: an axis is turned over, the joints are in another order "
            f"than those of layout {store.layout.name}, or people lie."
        ]
    if (others := ups[turned_over(up)]) >= (1 - _MOST) * total:
        return [
            f"heads are above feet along {up} in {count:,} of {total:,} clips, and below them in {others:,}: some clips are upside down, "
            "or their joints are in another order."
        ]
    return []


def _in_pixels(store: PackedStore) -> bool:
    """Tell whether coordinates are pixels of a picture: two of them, none negative, far apart."""
    if store.joints.shape[-1] - store.info.has_scores != 2:
        return False
    joints = np.asarray(store.joints[:: max(1, len(store.joints) // 2000), :, :2], dtype=np.float32)
    return bool(joints.min() >= 0 and np.ptp(joints) > _MIN_PIXEL_RANGE)


def check_subsets(store: PackedStore, train: Indices, test: Indices, *, balanced: bool = False) -> list[str]:
    """Return warnings about the training and the test clips of a store.

    Args:
        store: The store.
        train, test: The indices of the clips.
        balanced: Whether the loss gives every class the same weight, so that unequal classes need no warning.
    """
    classes = store.classes
    trained, tested = (np.bincount(store.clips["label"][indices], minlength=len(classes)) for indices in (train, test))
    warnings = []
    if len(untrained := np.flatnonzero((trained == 0) & (tested > 0))):
        warnings.append(
            f"{_classes(classes, untrained)} no training clip, so all {tested[untrained].sum():,} test clips of it will be classified "
            "wrongly. Choose other people for testing, or exclude the class."
        )
    if len(empty := np.flatnonzero(trained + tested == 0)):
        warnings.append(f"{_classes(classes, empty)} no clip at all.")
    if len(few := np.flatnonzero((trained > 0) & (trained < _MIN_TRAIN))):
        warnings.append(f"{_classes(classes, few)} fewer than {_MIN_TRAIN} training clips; the result on so few is chance.")
    if not len(test):
        warnings.append("there is no test set, so no accuracy is measured.")
    elif len(untested := np.flatnonzero((trained > 0) & (tested == 0))):
        warnings.append(f"{_classes(classes, untested)} no test clip, so their accuracy cannot be measured.")
    if (trained > 0).sum() == 1:
        warnings.append("only one class has training clips; a recognizer needs at least two.")
    sizes = trained[trained > 0]
    if not balanced and len(sizes) and sizes.max() >= _MAX_IMBALANCE * sizes.min():
        warnings.append(
            f"the classes have from {sizes.min():,} to {sizes.max():,} training clips. `loss.balanced: true` gives every class the same "
            "weight."
        )
    if 0 < len(test) < _MIN_TEST:
        margin = 100 * 1.96 * math.sqrt(0.1 * 0.9 / len(test))
        warnings.append(
            f"{len(test)} test clips measure an accuracy of 90 % to within about {margin:.0f} points. Cross-validation tests every clip "
            "once: `poseglot cross-validate`, with --folds 5 if the set has no folds of its own."
        )
    subjects = [{int(subject) for subject in store.clips["subject"][indices] if subject > 0} for indices in (train, test)]
    both = subjects[0] & subjects[1]
    # If the subsets have different cameras or setups, as in cross-view splits, people in both are intended.
    cross_view = any(
        not np.intersect1d(store.clips[field][train], store.clips[field][test]).size for field in ("camera", "setup")
    )
    if both and not cross_view:
        warnings.append(
            f"{len(both)} of {counted(len(subjects[0] | subjects[1]), 'person is', 'people are')} in both subsets, so the accuracy is "
            "for known people, not for new ones."
        )
    unknown = int((store.clips["subject"][np.union1d(train, test)] <= 0).sum())
    if subjects[0] and subjects[1] and unknown and not cross_view:
        warnings.append(f"the people of {unknown:,} clips are not known, so they may be people of the other subset.")
    return warnings


def _classes(classes: Sequence[str], labels: Indices) -> str:
    """Return text such as `2 classes (jog, walk) have`."""
    names = ", ".join(classes[label] for label in labels[:_MAX_NAMES]) + (", ..." if len(labels) > _MAX_NAMES else "")
    return f"{len(labels)} {'class' if len(labels) == 1 else 'classes'} ({names}) {'has' if len(labels) == 1 else 'have'}"
