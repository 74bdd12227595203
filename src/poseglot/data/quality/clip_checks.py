"""Clips of a store that are worth a look: few checks, each with its limit and its reason in one table (`CHECKS`).

Recorded skeletons are seldom clean: a tracker changes persons, loses a limb, repeats a frame, or sees one body twice. None of that is
an error for a program, and some of it belongs to the task, so nothing is dropped here: the findings are for a person to judge.

Lengths are in units of a body, so that the limits hold for metres and for pixels; `measures` says how they are taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from poseglot.data.quality.statistics import Array, seen_joints, steps, store_statistics, typical_body
from poseglot.data.store import PackedStore
from poseglot.skeletons.layout import Layout


@dataclass(frozen=True)
class Check:
    """One check: a clip is found when its value is above the limit (below it, where `below` says so).

    Attributes:
        unit: of the value and the limit.
        words: what is found, and why it is worth a look, with {limit} for the limit.
    """

    limit: float
    unit: str
    words: str
    below: bool = False

    @property
    def meaning(self) -> str:
        return self.words.format(limit=f"{self.limit:g}")


@dataclass(frozen=True)
class Finding:
    """A clip that is worth a look.

    Attributes:
        clip: its name.
        what: which of `CHECKS`.
        value, limit: in the unit of the check.
        person, frame: counted from 1; 0 when it is not about one of them (a person: of several).
        joint: by name; empty when it is not about one.
        others: the names of the clips with the same content.
    """

    clip: str
    what: str
    value: float
    limit: float
    person: int = 0
    frame: int = 0
    joint: str = ""
    others: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The place as words, for lists and pictures."""
        said = [f"person {self.person}" * (self.person > 0), f"frame {self.frame}" * (self.frame > 0), self.joint]
        said += [f"as {', '.join(self.others[:3])}{', ...' * (len(self.others) > 3)}"] if self.others else []
        return ", ".join(part for part in said if part)


CHECKS: Mapping[str, Check] = {
    "not finite": Check(0, "coordinates", "coordinates are NaN or infinite: nothing can be trained on that"),
    "short": Check(8, "frames", "fewer than {limit} frames, a quarter of a second: hardly an action", below=True),
    "absent": Check(0.2, "of the frames", "nobody shows half of their joints in a run of more than {limit} of the frames"),
    "still": Check(
        0.25, "of the frames", "nobody moves, by a thousandth of a body, in a run of more than {limit} of the frames"
    ),
    "stuck joints": Check(0, "joints", "joints keep their place to the last bit, in a clip in which others move"),
    "collapsed": Check(0, "frames", "in some frames a person is smaller than a tenth of the set's median body"),
    "jump": Check(
        0.6, "bodies a frame", "a joint moves by more than {limit} bodies in a frame; a tennis swing reaches about 0.5"
    ),
    "bones": Check(
        0.25, "of their length", "bones vary by more than {limit} of their length (standard deviation; only with a z)"
    ),
    "size": Check(6, "robust z", "a person's size is more than {limit} deviations from the set's: another unit, or no person"),
    "restless": Check(6, "robust z", "joints are faster than the set's by more than {limit} deviations: noise, lost frames"),
    "seen double": Check(
        0.05, "bodies", "two people less than {limit} bodies apart, on average: one, tracked twice", below=True
    ),
    "alone": Check(2, "people", "one person, in a class that two do together (NTU: A50-A60, A106-A120)", below=True),
    "company": Check(1, "people", "two people, in a class that one does alone (NTU: the other classes)"),
    "same content": Check(1, "clips", "clips with different names hold the same coordinates, to the last bit"),
}
TWO_PERSON_CLASSES = (*range(49, 60), *range(105, 120))  # labels of ntu60 and ntu120
_NARROWEST = 0.05  # a set's spread in `size` and `restless` counts as at least 5 %, or equal sets would find themselves odd


def check_clips(store: PackedStore, layout: Layout) -> list[Finding]:
    """What is worth a look in a store: by check in the order of `CHECKS`, the worst first.

    Args:
        layout: of the store.
    """
    body = typical_body(store)
    person, clip = store_statistics(store, layout, body)
    each, of_person = np.arange(len(store)), person["clip"]
    frames, labels, name = store.clips["frames"], store.clips["label"], store.clips["name"]
    own = np.maximum(person["size"], body / 2 or np.nan)  # what has collapsed is no unit
    present = np.bincount(of_person[person["frames"] > 0], minlength=len(store))
    by_two = np.isin(labels, TWO_PERSON_CLASSES)
    known = (labels >= 0) & (present > 0) & (store.info.name in ("ntu60", "ntu120"))
    _, first, group, alike = np.unique(store.contents(each), return_index=True, return_inverse=True, return_counts=True)
    by_group, ends = np.argsort(group, kind="stable"), np.cumsum(alike)

    # Of each check: the clips, and their values (NaN where it does not apply).
    values: Mapping[str, tuple[Array, Array]] = {
        "not finite": (each, clip["infinite"]),
        "short": (each, frames),
        "absent": (each, clip["absent"]),
        "still": (each, clip["still"]),
        "stuck joints": (of_person, np.where(frames[of_person] < CHECKS["short"].limit, 0, person["stuck"])),
        "collapsed": (of_person, person["collapsed"]),
        "jump": (of_person, person["jump"] / own),
        "bones": (of_person, person["bones"]),
        "size": (of_person, np.abs(_robust_z(person["size"]))),
        "restless": (of_person, _robust_z(person["speed"] / own)),
        "seen double": (of_person, person["double"] / own),
        "alone": (each, np.where(known & by_two, present, np.nan)),
        "company": (each, np.where(known & ~by_two, present, np.nan)),
        "same content": (first, alike),
    }
    found: list[Finding] = []
    for what, (places, value) in values.items():
        check = CHECKS[what]
        passed = np.flatnonzero(value < check.limit if check.below else value > check.limit)
        worst_first = passed[np.lexsort((places[passed], value[passed] if check.below else -value[passed]))]
        _, worst = np.unique(places[worst_first], return_index=True)  # of the people in a clip
        for row in worst_first[np.sort(worst)].tolist():
            place = int(places[row])
            where: dict[str, Any] = {}
            if places is of_person and store.clips["num_persons"][place] > 1:
                where["person"] = int(person["person"][row]) + 1
            if what == "jump":
                where["frame"], where["joint"] = _where_it_jumps(store, layout, place, int(person["person"][row]))
            if what == "same content":
                begin, end = ends[group[place]] - alike[group[place]], ends[group[place]]
                where["others"] = tuple(map(str, name[by_group[begin + 1 : end]]))
            found.append(Finding(str(name[place]), what, float(value[row]), check.limit, **where))
    return found


def _robust_z(values: Array) -> Array:
    """How many standard deviations the logarithm of a value is from the median, the deviation taken from the middle half of the set."""
    known = np.isfinite(values) & (values > 0)
    z = np.full(len(values), np.nan)
    if np.count_nonzero(known) >= 20:
        logarithm = np.log(values[known])
        centre = np.median(logarithm)
        z[known] = (logarithm - centre) / max(1.4826 * float(np.median(np.abs(logarithm - centre))), _NARROWEST)
    return z


def _where_it_jumps(store: PackedStore, layout: Layout, place: int, person: int) -> tuple[int, str]:
    """The frame (from 1) to which the fastest joint has come, and the joint."""
    joints, seen = seen_joints(store.clip(place).joints[person], has_scores=store.info.has_scores)
    step = steps(joints, seen, np.array([0]))
    joint, frame = np.unravel_index(int(np.argmax(step)), step.shape)
    return int(frame) + 1, layout.joints[joint]
