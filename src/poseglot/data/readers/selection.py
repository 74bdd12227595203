"""From a recording to the joints that were asked for: by layout and name, with or without scores, in the asked-for units."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.formats import ReadOptions, Recording
from poseglot.data.readers.joint_names import joints_by_name, named_layout
from poseglot.errors import InputError, PoseglotError
from poseglot.skeletons.clip import Clip, Joints
from poseglot.skeletons.layout import Layout
from poseglot.skeletons.mapping import LayoutMapping, map_layout
from poseglot.skeletons.visibility import seen_mask

_LOGGER = logging.getLogger("poseglot.data")
# The centre of a body is hardly seen when its score is 0 in more than this share of the frames.
_CENTRE_UNSEEN = 0.5
# Confidences end at 1; those of RTMPose go a little beyond.
_MAX_CONFIDENCE = 1.25


def select_joints(recording: Recording, options: ReadOptions, *, origin: str) -> Recording:
    """Return the recording with the joints, channels and units that the options ask for.

    Raises:
        ClipError: A joint of the layout is not in the recording, or its number of joints is another.
    """
    recording = _of_layout(recording, options, origin)
    clip = recording.clip
    joints = clip.joints
    if clip.has_scores and options.has_scores is False:
        joints = joints[..., :-1]
        clip = replace(clip, has_scores=False)
    joints = options.in_units(joints, has_scores=clip.has_scores, origin=origin)  # before 3D is flattened
    if options.num_dims == 2 and joints.shape[-1] - clip.has_scores == 3:
        joints = np.concatenate([joints[..., :2], joints[..., 3:]], axis=-1)
    there = joints[..., : joints.shape[-1] - clip.has_scores].any(axis=(1, 2, 3))
    if there.any() and not there.all():  # a person who is zero throughout is absent
        joints = joints[there]
    return replace(recording, clip=replace(clip, joints=np.require(joints, np.float32, ["C", "W"])))


def _of_layout(recording: Recording, options: ReadOptions, origin: str) -> Recording:
    clip, layout = recording.clip, options.layout
    count = clip.joints.shape[2]
    if layout is not None and recording.layout is not None and recording.layout.joints != layout.joints:
        try:
            mapping = map_layout(recording.layout, layout)
        except PoseglotError:
            mapping = None
        if mapping is None or any(joint.how != "copied" for joint in mapping.joints):
            raise ClipError(
                "joint count",
                f"{origin}: {count} joints in a frame, of layout {recording.layout.name}, but the layout {layout.name} has {len(layout)}.",
            )
        return Recording(replace(clip, joints=mapping.apply(clip.joints, has_scores=clip.has_scores)), layout)
    if layout is not None and recording.joint_names:
        chosen = joints_by_name(recording.joint_names, layout)
        missing = [joint for joint in layout.joints if joint not in chosen]
        if missing and (mapping := _by_bones(recording.joint_names, layout)) is not None:
            return Recording(replace(clip, joints=mapping.apply(clip.joints, has_scores=clip.has_scores)), layout)
        if missing:
            raise ClipError(
                "joint count",
                f"{origin} has no joint named {', '.join(missing)} of layout {layout.name}; it has "
                f"{', '.join(recording.joint_names)}.",
            )
        return Recording(replace(clip, joints=clip.joints[:, :, [chosen[joint] for joint in layout.joints]]), layout)
    if options.count is not None and count != options.count:
        raise ClipError(
            "joint count", f"{origin}: {count} joints in a frame, but the layout has {options.count}; name theirs (--layout)."
        )
    return recording


def warn_of_unseen_centre(clip: Clip, layout: Layout | None, origin: str) -> None:
    """Log a warning if the score of the centre joint is mostly 0: pipelines would centre on nothing."""
    if clip.has_scores and layout is not None and len(layout) == clip.joints.shape[2]:
        share = unseen_centre(clip, layout)
        if share > _CENTRE_UNSEEN:
            _LOGGER.warning(
                "%s: the score of the centre joint (%s) is 0 in %.0f%% of the frames. If scores of 0 mean inferred joints here, read "
                "the file without them (--columns 1-3).", origin, layout.centre, 100 * share,
            )  # fmt: skip


def without_scores(clip: Clip) -> Clip:
    """Return a clip without the scores of its joints; joints that they tell to be unseen are zero."""
    if not clip.has_scores:
        return clip
    seen = seen_mask(clip.joints, has_scores=True)[..., None]
    return replace(clip, joints=np.where(seen, clip.joints[..., :-1], np.float32(0)), has_scores=False)


def refuse_unsaid_scores(found: Recording, layout: Layout | None, options: ReadOptions, origin: str) -> None:
    """Refuse a clip whose third numbers are like confidences, unless its file or the options say what they are.

    Raises:
        InputError: `like_scores`.
    """
    if found.says_axes or found.clip.has_scores or options.has_scores is not None or options.columns is not None:
        return
    if layout is not None and (sentence := like_scores(found.clip.joints, layout)):
        raise InputError(
            f"{origin}: {sentence}. Say what it is: --scored (in Python has_scores=True) for a confidence, --columns 1-3 for a coordinate, "
            "--columns 1-2 to leave it out."
        )


def like_scores(joints: Joints, layout: Layout) -> str:
    """Return a sentence if the third numbers of joints (..., 3) are like confidences: from 0 to 1, in a layout of pictures; else "".

    Such layouts come as x, y, confidence far more often than as x, y, z, of which those below 0 tell.
    """
    if not (is_of_pictures(layout) and third_is_like_scores(joints)):
        return ""
    low, high = float(joints[..., 2].min()), float(joints[..., 2].max())
    return f"the third number of every joint of the layout {layout.name} is from {low:.2g} to {high:.2g}, as confidences are"


def is_of_pictures(layout: Layout) -> bool:
    """Tell whether the joints are those of pose estimators in pictures: with a nose, which depth cameras with a spine alone have, too."""
    return layout.name == "h36m17" or ("nose" in layout.joints and not any("spine" in joint for joint in layout.joints))


def third_is_like_scores(joints: Joints) -> bool:
    """Tell whether joints (..., 3) have third numbers from 0 to 1 alone, some of them above 0."""
    if joints.shape[-1] != 3:
        return False
    third = joints[..., 2]
    return bool(third.any() and third.min() >= 0 and third.max() <= _MAX_CONFIDENCE)


def unseen_centre(clip: Clip, layout: Layout) -> float:
    """Return in which share of the frames with somebody in them the centre joint of the first person has score 0."""
    person = clip.joints[0]
    there = person[..., :-1].any(axis=(1, 2))
    return float((person[there, layout.centre_index, -1] == 0).mean()) if there.any() else 0.0


def _by_bones(names: Sequence[str], layout: Layout) -> LayoutMapping | None:
    """Return how a layout's joints are made exactly from joints whose names are those of bones; None if they cannot be."""
    try:
        mapping = map_layout(named_layout(names, name="file"), layout)
    except PoseglotError:
        return None
    return None if any(joint.how == "approximated" for joint in mapping.joints) else mapping
