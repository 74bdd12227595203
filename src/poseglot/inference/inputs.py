"""Read clips of every kind and turn them into a recognizer's evaluation input.

file, array or video -> checked `Clip` -> the recognizer's joints, mapped by name -> its pipeline and modality
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch

from poseglot.data.readers import (
    ClipFile,
    Reading,
    clip_files,
    endings,
    is_video,
    layout_by_count,
    read_any,
    read_as_trained,
    recognize,
)
from poseglot.data.readers.poses import ENDING as POSES_ENDING
from poseglot.data.readers.poses import Poses, read_poses
from poseglot.data.readers.selection import like_scores
from poseglot.data.tracking import most_moving, select_people
from poseglot.errors import InputError, PoseglotError
from poseglot.files import as_path
from poseglot.models.recognizer import RecognizerSpec
from poseglot.safe_text import counted_people
from poseglot.skeletons.batch import ClipBatch
from poseglot.skeletons.clip import Clip, Joints, check_joints
from poseglot.skeletons.common_body import is_common_body, map_to_common_body, to_common_body
from poseglot.skeletons.coordinates import compare, measure_clip, odd_proportions, summary_of
from poseglot.skeletons.layout import Layout
from poseglot.skeletons.mapping import LayoutMapping, map_layout
from poseglot.skeletons.visibility import seen_mask
from poseglot.transforms import load_pipeline

if TYPE_CHECKING:
    from poseglot.inference.video.person import PoseEstimator

# A file, a folder of files, a clip, or an array of joints.
ClipLike = Clip | npt.ArrayLike | str | PathLike[str]


@dataclass(frozen=True, eq=False)
class LoadedClip:
    """A checked clip with the recognizer's joints.

    Attributes:
        clip: The clip.
        mapping: How its joints were made from those of another layout; None if it already had the recognizer's.
        fps: Frames per second, if the file states it.
        warnings: What of its coordinates is unlike the training clips: kind -> sentence (`skeletons.coordinates.compare`).
    """

    clip: Clip
    mapping: LayoutMapping | None = None
    fps: float | None = None
    warnings: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The clip's name."""
        return self.clip.name


class ClipLoader:
    """Loads clips for one recognizer and builds its evaluation input.

    Args:
        spec: The recognizer's.
        layout: The recognizer's.
        device: The kind of device that pose estimators run on: cpu or cuda.
        reading: How files are read where it differs from training (`data.readers.reading.Reading.given`).
        prepares: Whether the pipeline is applied here. An exported file that takes raw joints applies it by itself.

    Raises:
        SettingError: An option of `reading` is not known or not valid.
    """

    def __init__(
        self,
        spec: RecognizerSpec,
        layout: Layout,
        device: str = "cpu",
        *,
        reading: Mapping[str, Any] | None = None,
        prepares: bool = True,
    ) -> None:
        self.spec, self.layout, self.device, self.prepares = spec, layout, device, prepares
        self.reading = Reading(spec.reading or {}, reading or {})
        self._pipeline = load_pipeline(spec.pipeline)
        self._trained_on = None if spec.coordinates is None else summary_of(spec.coordinates)
        self._mappings: dict[str, LayoutMapping] = {}
        self._estimators: dict[str, PoseEstimator] = {}
        # Such a recognizer takes clips of any layout, in 2D and 3D, with scores or without.
        self.any_layout = is_common_body(layout)

    @property
    def num_dims(self) -> int | None:
        """Number of coordinates per joint that clips must have, 2 or 3; None if both are taken."""
        return None if self.any_layout else self.spec.channels - self.spec.has_scores

    @property
    def reads_scores(self) -> bool:
        """Whether clips are read with the confidence in each joint; of any layout, it tells which joints are seen."""
        return self.any_layout or self.spec.has_scores

    def mapping(self, layout: Layout) -> LayoutMapping | None:
        """Return the mapping from a layout to the recognizer's; None if their joints are the same.

        Raises:
            InputError: A joint of the recognizer cannot be made.
        """
        if layout.joints == self.layout.joints and not self.any_layout:
            return None
        known = self._mappings.get(layout.name)
        if known is None or known.source != layout:
            known = map_to_common_body(layout) if self.any_layout else map_layout(layout, self.layout)
            self._mappings[layout.name] = known
        return known

    def read(
        self, path: str | PathLike[str], *, layout: Layout | None = None, pose: str | PoseEstimator = "auto"
    ) -> LoadedClip:
        """Read everybody in a file, in the recognizer's joints. Arguments as in `load`.

        Raises:
            PoseglotError: As `load`.
        """
        clip, layout, fps = self._read(as_path(path), layout, pose)
        return self._compared(replace(self._mapped(clip, layout, str(path)), fps=fps), is_file=True)

    def frames(self, path: str | PathLike[str], *, layout: Layout | None = None) -> tuple[Iterator[Joints], Layout | None]:
        """Return the frames (M, V, C) of a file as it has them, and their layout if it is not the recognizer's: for streams, which map.

        Joints that a file's scores tell to be unseen are zero, if the recognizer takes no scores.

        Raises:
            PoseglotError: As `load`.
        """
        clip, layout, _ = self._read(as_path(path), layout, "auto")
        joints = clip.joints
        if clip.has_scores and not self.spec.has_scores:
            joints = np.where(seen_mask(joints, has_scores=True)[..., None], joints[..., :-1], np.float32(0))
        return iter(joints.swapaxes(0, 1)), layout

    def load(
        self, clip: ClipLike, number: int = 0, *, layout: Layout | None = None, pose: str | PoseEstimator = "auto"
    ) -> LoadedClip:
        """Check one clip and map its joints; of a video's people, take those who move most. Absent people are left out.

        Args:
            clip: A file, a `Clip`, or an array. Neither an array nor a .npy file states whether its last channel is a score: it is taken
                to be as in training.
            number: The name of an array in messages: `clip 3`.
            layout: The layout of the clip, if it is not the recognizer's.
            pose: The pose estimator for videos, or its name.

        Raises:
            PoseglotError: The clip is not acceptable. The message names it.
        """
        origin, is_array = "", not isinstance(clip, (str, PathLike, Clip))
        if isinstance(clip, (str, PathLike)):
            origin = str(clip)
            clip, layout, fps = self._read(as_path(clip), layout, pose)
            if fps is not None:
                clip = self._most_moving(clip, origin)
        if not isinstance(clip, Clip):
            has_scores, name = self.spec.has_scores, f"clip {number}"
            clip = Clip(check_joints(clip, has_scores=has_scores, origin=name), name=name, has_scores=has_scores)
        if self.any_layout:
            layout = layout or layout_by_count(clip.joints.shape[2], origin or clip.name)
            clip = self._keep_most_moving(clip, origin or clip.name)
        loaded = self._mapped(clip, layout, origin or clip.name)
        loaded = self._compared(replace(loaded, clip=_without_absent(loaded.clip, origin or clip.name)), is_file=bool(origin))
        unsaid = unsaid_scores(clip.joints, layout) if is_array and not clip.has_scores else {}
        return replace(loaded, warnings={**loaded.warnings, **unsaid})

    def input(self, clip: Clip) -> Joints:
        """Return the evaluation input (M, T, V, C) of a clip of the recognizer's joints.

        Raises:
            InputError: The clip has too many persons or other channels than the recognizer was trained on.
        """
        spec = self.spec
        persons, frames, _, channels = clip.joints.shape
        if persons > spec.num_persons or (channels, clip.has_scores) != (spec.channels, spec.has_scores):
            raise InputError(
                f"{clip.name}: {counted_people(persons)} with {describe_channels(channels, clip.has_scores)} per joint; the recognizer was "
                f"trained on at most {counted_people(spec.num_persons)} with {describe_channels(spec.channels, spec.has_scores)}. "
                f"{channels_remedy(clip.has_scores, spec.has_scores)}"
            )
        inputs: Joints = self.inputs(clip.joints[None], np.array([frames]))[0].numpy()
        return inputs

    def inputs(self, joints: npt.NDArray[np.float32], lengths: npt.NDArray[np.int64]) -> torch.Tensor:
        """Return the evaluation inputs of a batch: the only place where inference applies a pipeline.

        Args:
            joints: (N, M, T, V, C), with at most as many persons as the recognizer has.
            lengths: (N,) frames of each clip; frames behind them are ignored.

        Returns:
            (N, num_persons, T', V, C); absent persons are zero. Raw joints are padded with empty frames, which count nowhere.
        """
        if self.prepares:
            inputs = self._prepared(joints, lengths)
        else:
            counts = np.arange(joints.shape[2]) < lengths[:, None]
            inputs = torch.from_numpy(np.where(counts[:, None, :, None, None], joints, np.float32(0)))
        return torch.nn.functional.pad(inputs, (0, 0) * 3 + (0, self.spec.num_persons - inputs.shape[1]))

    def _prepared(self, joints: npt.NDArray[np.float32], lengths: npt.NDArray[np.int64]) -> torch.Tensor:
        """Apply the pipeline and the modality."""
        num_persons = torch.full((len(joints),), joints.shape[1])
        batch = ClipBatch(torch.from_numpy(joints), torch.from_numpy(lengths), num_persons, self.layout, self.spec.has_scores)
        return self._pipeline(batch, modality=self.spec.modality)

    def _mapped(self, clip: Clip, layout: Layout | None, origin: str) -> LoadedClip:
        source = layout or self.layout
        joints = check_joints(clip.joints, joint_count=len(source), has_scores=clip.has_scores, origin=origin)
        mapping = self.mapping(source)
        if mapping is not None and self.any_layout:
            apart = [joints] if self.spec.num_persons > 1 else np.split(joints, len(joints))
            body = np.concatenate([to_common_body(each, mapping, has_scores=clip.has_scores) for each in apart])
            return LoadedClip(Clip(body, name=clip.name), None if mapping.is_identity else mapping)
        if mapping is not None:
            joints = mapping.apply(joints, has_scores=clip.has_scores)
        return LoadedClip(Clip(joints, name=clip.name, has_scores=clip.has_scores), mapping)

    def _keep_most_moving(self, clip: Clip, origin: str) -> Clip:
        """Return a clip with the people who move most, as many as the recognizer has."""
        there = clip.joints[seen_mask(clip.joints, has_scores=clip.has_scores).any(axis=(1, 2))]
        chosen = most_moving(there, self.spec.num_persons)
        if len(chosen) < len(there):
            _warn_of_others(f"{origin}: {len(there)} people", len(chosen))
        return replace(clip, joints=chosen) if len(there) else clip

    def _compared(self, loaded: LoadedClip, *, is_file: bool) -> LoadedClip:
        """Return the clip with what of it is unlike the training clips."""
        warnings = self.unlike_training(loaded.clip.joints, has_scores=loaded.clip.has_scores, is_file=is_file)
        return replace(loaded, warnings=warnings)

    def unlike_training(self, joints: Joints, *, has_scores: bool, is_file: bool = False) -> dict[str, str]:
        """Return what of joints (M, T, V, C) is unlike the training clips: kind -> sentence (`skeletons.coordinates.compare`)."""
        measured = measure_clip(joints, self.layout, has_scores=has_scores)
        if self._trained_on is None:
            return odd_proportions(measured)
        is_turned = {**self.reading.remembered, **self.reading.given}.get("up") is not None
        warnings = compare(
            measured, self._trained_on, unit_matters=self._unit_matters, can_be_read_otherwise=is_file and not is_turned
        )
        if self.any_layout and not joints[..., 2].any():
            warnings.pop("depth", None)  # a 2D clip, which training had, too
        return warnings

    @cached_property
    def _unit_matters(self) -> bool:
        """Whether the pipeline's input changes with the unit of length."""
        shape = (1, 8, len(self.layout), self.spec.channels)
        joints = np.random.default_rng(0).uniform(0.5, 1, shape).astype(np.float32)
        larger = joints.copy()
        larger[..., : self.num_dims] *= 1024  # exact in floating point
        one, other = (self._prepared(each[None], np.array([shape[1]])) for each in (joints, larger))
        return not torch.allclose(one, other, rtol=1e-3, atol=1e-3)

    def _read(self, path: Path, layout: Layout | None, pose: str | PoseEstimator) -> tuple[Clip, Layout | None, float | None]:
        """Return a file's clip, its layout if that is not the recognizer's, and for poses the frames per second."""
        if is_video(path) or (path.suffix.lower() == POSES_ENDING and recognize(ClipFile(path)) == "poses"):
            poses = self._estimate(path, pose) if is_video(path) else read_poses(path)
            joints = self.reading.joints_of_poses(poses, num_dims=self.num_dims, has_scores=self.reads_scores, origin=str(path))
            return Clip(joints, name=path.stem, has_scores=self.reads_scores), poses.layout, poses.fps
        if self.any_layout:
            return *read_any(path, self.reading, layout), None
        return *read_as_trained(path, self.reading, self.layout, layout=layout, has_scores=self.spec.has_scores), None

    def _estimate(self, path: Path, pose: str | PoseEstimator) -> Poses:
        """Return the poses of the people in a video."""
        from poseglot.inference.video.estimator import load_estimator
        from poseglot.inference.video.extract import poses_of_video

        if isinstance(pose, str):
            if pose not in self._estimators:
                try:
                    self._estimators[pose] = load_estimator(pose, num_dims=self.num_dims, device=self.device)
                except PoseglotError as error:
                    error.args = (f"{path}: {error}",)
                    raise
            pose = self._estimators[pose]
        self.mapping(pose.layout)  # refuse before the video is processed, not after
        return poses_of_video(path, pose, progress=True)

    def _most_moving(self, clip: Clip, origin: str) -> Clip:
        selected, found = select_people(clip, self.spec.num_persons)
        if len(selected.joints) < found:
            _warn_of_others(f"{origin}: {found} people, or one who was out of sight", len(selected.joints))
        return selected


def _warn_of_others(who: str, chosen: int) -> None:
    recognised = "the one who moves" if chosen == 1 else f"the {chosen} who move"
    warnings.warn(f"{who}; recognised: {recognised} most. `poseglot segment` recognises everybody.", stacklevel=4)


def unsaid_scores(joints: Joints, layout: Layout | None) -> dict[str, str]:
    """Return the kind `scores` with its sentence if arrays of another layout than the recognizer's have a confidence for z."""
    sentence = "" if layout is None else like_scores(joints, layout)
    advice = "Leave it out, or give a Clip with has_scores=True"
    return {"scores": f"{sentence}, and was read as a coordinate. {advice}"} if sentence else {}


def stack_inputs(inputs: Sequence[Joints]) -> torch.Tensor:
    """Return inputs (M, T, V, C) as a batch; those of fewer frames, which are raw joints, are padded with empty ones."""
    longest = max(each.shape[1] for each in inputs)
    padded = [np.pad(each, ((0, 0), (0, longest - each.shape[1]), (0, 0), (0, 0))) for each in inputs]
    return torch.from_numpy(np.stack(padded))


def describe_channels(channels: int, has_scores: bool) -> str:
    """Return what a joint consists of, for messages."""
    return f"{channels - has_scores} coordinates{' and a score' if has_scores else ''}"


def channels_remedy(has_scores: bool, wanted: bool) -> str:
    """Return what to do about channels that a recognizer was not trained on."""
    if has_scores and not wanted:
        return "Leave out the last channel, the confidence in each joint, or train on clips that have it."
    if wanted and not has_scores:
        return "Give the confidence in each joint as the last channel (1 if it is not known), or train without it."
    return "Choose people or coordinates, or train on such clips."


def list_clips(clips: ClipLike | Sequence[ClipLike]) -> list[ClipLike]:
    """Return clips as a list: one clip as a list of one, an array of clips as arrays, a folder as its files.

    Raises:
        InputError: A folder holds no clip.
    """
    is_one = isinstance(clips, (str, PathLike, Clip)) or (isinstance(clips, (np.ndarray, torch.Tensor)) and clips.ndim < 5)
    listed: list[ClipLike] = []
    for clip in cast("Sequence[ClipLike]", [clips] if is_one else clips):
        if isinstance(clip, (str, PathLike)) and as_path(clip).is_dir():
            listed += files_in(Path(clip))
        else:
            listed.append(clip)
    return listed


def expand_folders(paths: Sequence[Path]) -> list[Path]:
    """Return paths with the files of folders in their place.

    Raises:
        PoseglotError: A path is none, or a folder holds no clip.
    """
    return [file for path in paths for file in (files_in(path) if as_path(path).is_dir() else [path])]


def files_in(folder: Path) -> list[Path]:
    """Return the clips and videos in a folder and below it, sorted; warn of other files.

    Raises:
        InputError: There is no clip.
    """
    found, others = clip_files(folder)
    if not found:
        raise InputError(
            f"{folder} holds no clip and no video, but {len(others)} other files; clips end in {', '.join(endings())}."
        )
    if others:
        names = ", ".join(str(path.relative_to(folder)) for path in others[:5])
        warnings.warn(
            f"{len(others)} files of {folder} are no clips: {names}{', ...' if len(others) > 5 else ''}", stacklevel=5
        )
    return found


def _without_absent(clip: Clip, origin: str) -> Clip:
    """Return a clip without the people who are in none of its frames.

    Raises:
        InputError: Nobody is in any frame.
    """
    present = seen_mask(clip.joints, has_scores=clip.has_scores).any(axis=(1, 2))
    if not present.any():
        raise InputError(f"{origin}: nobody is in any frame; all joints are missing.")
    return clip if present.all() else replace(clip, joints=clip.joints[present])
