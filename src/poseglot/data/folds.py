"""Splits that are several folds, as data sets publish them: every person once, folds that a file lists, or no test set at all.

A family of splits is called FAMILY/FOLD: `leave-one-out/3`, `folds/1`. `poseglot cross-validate` trains all of a family.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseglot.data.benchmarks import SplitRule
from poseglot.errors import FileError, InputError, NotFoundError, SettingError
from poseglot.files import decode_text

LEAVE_ONE_OUT, GIVEN, ALL = "leave-one-out", "folds", "none"


def fold_splits(split: str, clips: npt.NDArray[Any], people: Mapping[str, str]) -> dict[str, SplitRule]:
    """Return the splits of a set.

    Args:
        split: `leave-one-out` tests on each person once, and trains on the others. `none` trains on everything. Any other text is the
            path of a file with a line for each fold: the people, or the clips, that it tests on, separated by blanks or commas. People
            need the person of every clip to be known: an unknown one may be anybody, so such clips can be on neither side.
        clips: The store's table.
        people: Number of a person -> name, of those who have names.

    Raises:
        SettingError: The people of some clips are not known where people are tested on, or there is only one.
        FileError: The file cannot be read.
        InputError: A fold names nobody of this set, or everybody.
    """
    if split == ALL:
        return {ALL: {"train": {}, "test": {"name": []}}}
    names = {
        int(number): people.get(str(number), str(number)).replace("/", "-")
        for number in np.unique(clips["subject"])
        if number > 0
    }
    if split == LEAVE_ONE_OUT:
        if len(names) < 2:
            known = "only one person is known" if names else "the people of the clips are not known"
            raise SettingError(
                f"{LEAVE_ONE_OUT} tests on one person at a time, but {known}: tell them by --names or clips.csv."
            )
        _check_everybody_known(LEAVE_ONE_OUT, clips)
        return {f"{LEAVE_ONE_OUT}/{name}": _of("subject", [number], names) for number, name in names.items()}
    return {f"{GIVEN}/{number}": rule for number, rule in enumerate(_given(Path(split), clips, names), start=1)}


def family(splits: Iterable[str], name: str) -> list[str]:
    """Return the splits of a family, by its name or that of one of its splits.

    Raises:
        NotFoundError: There is no such family.
    """
    found = {split: split.rpartition("/")[0] for split in splits}
    wanted = found.get(name) or name
    if wanted not in set(found.values()) - {""}:
        raise NotFoundError(
            name, sorted(set(found.values()) - {""}), kind="family of splits", advice="Or divide the training set: --folds 5."
        )
    return [split for split, its in found.items() if its == wanted]


def _given(path: Path, clips: npt.NDArray[Any], names: Mapping[int, str]) -> list[SplitRule]:
    try:
        lines = decode_text(path.read_bytes(), str(path)).splitlines()
    except OSError as error:
        raise FileError(
            f"could not read the folds {path}: {error.strerror}. --split takes {LEAVE_ONE_OUT}, {ALL}, or a text file with a line for "
            "each fold: the people or the clips that it tests on."
        ) from error
    numbers = {str(number): number for number in names} | {name: number for number, name in names.items()}
    all_clips = [str(name) for name in clips["name"]]
    rules = []
    for place, line in enumerate(lines, start=1):
        said = [word for word in re.split(r"[\s,;]+", line.partition("#")[0]) if word]
        if not said:
            continue
        people = [numbers.get(word) or numbers.get(word.lstrip("0"), 0) for word in said]
        missing = sorted(set(said) - set(all_clips))
        if all(people):
            _check_everybody_known(f"{path}, line {place}: a fold of people", clips)
            rules.append(_of("subject", people, names))
        elif not missing:
            rules.append(_of("name", said, all_clips))
        else:
            missing = [word for word in missing if word not in numbers] or missing
            raise InputError(
                f"{path}, line {place}: {', '.join(missing[:5])} is no person and no clip of the set; people are "
                f"{', '.join(list(names.values())[:20]) or 'not known'}."
            )
    if len(rules) < 2:
        raise InputError(f"{path} has {len(rules)} folds; give at least two, one a line.")
    return rules


def _check_everybody_known(what: str, clips: npt.NDArray[Any]) -> None:
    unknown = clips["name"][clips["subject"] <= 0]
    if len(unknown):
        raise SettingError(
            f"{what} needs the person of every clip, and {len(unknown):,} have none ({unknown[0]}, ...). Tell them by --names or "
            "clips.csv, or list the clips of each fold."
        )


def _of(field: str, test: Sequence[Any], everything: Iterable[Any]) -> SplitRule:
    """Return the rule that tests on some values of a field and trains on the others."""
    held_out = set(test)
    train = [value for value in everything if value not in held_out]
    if not train:
        raise InputError(
            f"a fold tests on everything ({', '.join(map(str, list(test)[:5]))}, ...); nothing is left to train on."
        )
    return {"train": {field: train}, "test": {field: list(test)}}
