"""Pipelines: lists of named transforms that turn stored clips into the network's input.

A pipeline is a YAML file, packaged (`transforms/pipelines/*.yaml`) or a user's own:

    name: mine
    layout: kinect20        # the layout it was made for; left out, it is for any
    transforms:
      - centre              # a transform's registered name
      - mirror: {probability: 0.5}      # ... and its settings
      - resize: {frames: 64}

A recognizer outlives a user's file, so it carries the whole list (`Pipeline.described`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy.typing as npt
import torch
from torch import Tensor

from poseglot.errors import FileError, NotFoundError, PoseglotError, nearest
from poseglot.files import packaged_yaml
from poseglot.safe_yaml import parse_yaml
from poseglot.skeletons.batch import ClipBatch
from poseglot.skeletons.clip import Joints, check_joints
from poseglot.skeletons.layout import Layout, as_layout
from poseglot.transforms.modality import ToModality
from poseglot.transforms.streaming import StreamingPipeline
from poseglot.transforms.transform import TRANSFORMS, PipelineError, Randomness, Transform

_KEYS = ("name", "layout", "transforms")


@dataclass(frozen=True)
class Pipeline:
    """A list of transforms, for whole batches on their device.

    Attributes:
        name: What it is called.
        transforms: The transforms, in order. One of them fixes the number of frames.
        layout: The name of the layout it was made for; None if it is for any.

    Raises:
        PipelineError: No transform fixes the number of frames, or two draw the same random numbers.
    """

    name: str
    transforms: tuple[Transform, ...]
    layout: str | None = None

    def __post_init__(self) -> None:
        if not any(transform.output_frames for transform in self.transforms):
            choices = [name for name, kind in TRANSFORMS.items() if kind.output_frames is not Transform.output_frames]
            raise PipelineError(
                f"the pipeline {self.name} leaves clips of different lengths, which do not fit into one batch. Add one of "
                f"{', '.join(choices)}."
            )
        drawn_by: dict[int, str] = {}
        for transform in self.transforms:
            for purpose in transform.purposes:
                if purpose in drawn_by:
                    raise PipelineError(
                        f"the pipeline {self.name} has {drawn_by[purpose]} and {transform.name}, which would draw the same random "
                        "numbers. Keep one of them."
                    )
                drawn_by[purpose] = transform.name

    @property
    def frames(self) -> int:
        """The number of frames of an evaluation input."""
        return [transform.output_frames for transform in self.transforms if transform.output_frames][-1]

    @property
    def causal(self) -> bool:
        """Whether frames that come one by one are placed exactly as in a whole clip."""
        return all(transform.causal for transform in self.transforms)

    @property
    def many_lengths(self) -> bool:
        """Whether training inputs have different lengths, so that streams of any length are familiar."""
        return any(transform.many_lengths for transform in self.transforms)

    def __call__(self, batch: ClipBatch, *, modality: str = "joint", randomness: Randomness | None = None) -> Tensor:
        """Turn a batch of stored clips into the network's input.

        Args:
            batch: N clips of up to M people and V joints.
            modality: `joint`, `bone`, `joint_motion` or `bone_motion`.
            randomness: The key of this batch's random numbers in training; None for evaluation.

        Returns:
            (N, M, frames, V, C), of the dtype of the clips; absent people are zero.

        Raises:
            NotFoundError: There is no such modality.
        """
        last = ToModality(modality)
        for transform in self.transforms:
            batch = transform(batch, randomness)
        batch = batch.with_joints(torch.where(batch.present_mask()[..., None, None], batch.joints, 0))
        return last(batch, randomness).joints

    def streaming(
        self, layout: Layout, *, modality: str = "joint", max_persons: int = 1, has_scores: bool = False
    ) -> StreamingPipeline:
        """Return the pipeline for frames that come one by one, exact if it is `causal`; see `StreamingPipeline`."""
        return StreamingPipeline(self.transforms, modality, layout, max_persons, has_scores)

    def table(self) -> dict[str, Any]:
        """Return all of it as plain dicts and lists, from which `load_pipeline` makes it again."""
        layout = {} if self.layout is None else {"layout": self.layout}
        return {"name": self.name, **layout, "transforms": [_written(transform) for transform in self.transforms]}

    def described(self) -> str | dict[str, Any]:
        """Return its name if it equals a packaged pipeline, else its table."""
        return self.name if self.name in list_pipelines() and _packaged(self.name) == self else self.table()


def apply_pipeline(
    joints: npt.ArrayLike,
    pipeline: Pipeline | str | Path | Mapping[str, Any] = "nw-ucla",
    modality: str = "bone",
    layout: Layout | str | Path | None = None,
    has_scores: bool = False,
) -> Joints:
    """Return the evaluation input of one clip.

    Args:
        joints: (M, T, V, C) float32.
        pipeline: A pipeline, a packaged one's name, or a path ending in .yaml.
        modality: `joint`, `bone`, `joint_motion` or `bone_motion`.
        layout: The layout of the joints: a packaged one's name, a path ending in .yaml, or a `Layout`. By default the one that the
            pipeline was made for (`nw-ucla`: kinect20, `ntu`: ntu25); `metric`, `image` and `live` are for any, and must be told.
        has_scores: Whether the last channel is the confidence in each joint.

    Returns:
        (M, frames, V, C) float32, with the frames of the pipeline (`nw-ucla` and `live`: 52, the others: 64).

    Raises:
        PoseglotError: The clip, the pipeline, the modality or the layout is not acceptable, or no layout was given where one is needed.
    """
    chosen = load_pipeline(pipeline)
    given = layout if layout is not None else chosen.layout
    if given is None:
        raise PipelineError(
            f"the pipeline {chosen.name} is for clips of any layout and must be told which: layout=, a packaged one's name (for "
            "example ntu25), a path ending in .yaml, or a Layout."
        )
    table = as_layout(given)
    array = torch.from_numpy(check_joints(joints, joint_count=len(table), has_scores=has_scores))
    num_persons, frames = array.shape[:2]
    batch = ClipBatch(array[None], torch.tensor([frames]), torch.tensor([num_persons]), table, has_scores)
    result: Joints = chosen(batch, modality=modality)[0].numpy()
    return result


def list_pipelines() -> tuple[str, ...]:
    """Return the names of the packaged pipelines."""
    folder = resources.files("poseglot.transforms") / "pipelines"
    return tuple(sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")))


def load_pipeline(source: Pipeline | str | Path | Mapping[str, Any]) -> Pipeline:
    """Return a packaged pipeline by name, or a user's own.

    Args:
        source: A packaged name, a path ending in .yaml or .yml, or a table as `Pipeline.described` gives it. A `Pipeline` is given back.
            A file may not have the name of a packaged pipeline and be another; a table that was written down may.

    Raises:
        PoseglotError: There is no such pipeline, or what is there is none; the message names what is wrong and what is accepted.
    """
    if isinstance(source, Pipeline):
        return source
    if isinstance(source, Mapping):
        return _from_table(source, "the pipeline's table")
    name = str(source)
    if not name.endswith((".yaml", ".yml")):
        return _packaged(name)
    pipeline = _from_yaml(packaged_yaml("poseglot.transforms", "pipelines", name, kind="pipeline"), name)
    if pipeline.name in list_pipelines() and _packaged(pipeline.name) != pipeline:
        raise PipelineError(
            f"{name} is named {pipeline.name}, as a packaged pipeline is, but differs from it. Give it a name of its own, or take the "
            f"packaged one: {pipeline.name}."
        )
    return pipeline


@lru_cache
def _packaged(name: str) -> Pipeline:
    if name not in list_pipelines():
        if nearest(name, list_pipelines()):
            raise NotFoundError(name, list_pipelines(), kind="pipeline")
        raise NotFoundError(name, [*list_pipelines(), "a path ending in .yaml"], kind="pipeline")
    return _from_yaml(packaged_yaml("poseglot.transforms", "pipelines", name, kind="pipeline"), name)


def _from_yaml(text: str, origin: str) -> Pipeline:
    try:
        table = parse_yaml(text, origin)
    except FileError as error:
        raise PipelineError(str(error)) from error
    if not isinstance(table, Mapping):
        raise PipelineError(f"{origin} is not a pipeline: it holds no table with {', '.join(_KEYS)}.")
    return _from_table(table, origin)


def _from_table(table: Mapping[str, Any], origin: str) -> Pipeline:
    for key in table:
        if key not in _KEYS:
            raise PipelineError(f"{origin}: {NotFoundError(str(key), _KEYS, kind='key')}")
    name, layout, listed = table.get("name"), table.get("layout"), table.get("transforms")
    if not isinstance(name, str) or not (layout is None or isinstance(layout, str)):
        raise PipelineError(f"{origin}: name must be text, and layout the name of a layout, where it is given.")
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise PipelineError(f"{origin}: transforms must be a list of transforms; there are {', '.join(TRANSFORMS)}.")
    try:
        return Pipeline(name, tuple(map(_transform, listed)), layout)
    except PoseglotError as error:
        raise PipelineError(f"{origin}: {error}") from error


def _transform(entry: Any) -> Transform:
    """Return the transform of an entry of a list: a name, or a name with a table of settings."""
    name: Any = entry
    settings: Any = {}
    if isinstance(entry, Mapping) and len(entry) == 1:
        name, settings = next(iter(entry.items()))
    if not isinstance(name, str) or not isinstance(settings or {}, Mapping):
        raise PipelineError(f"a transform is its name, or `name: {{setting: value}}`, not {entry!r}.")
    kind, settings = TRANSFORMS[name], dict(settings or {})
    hints = get_type_hints(kind)
    accepted = {field.name: hints[field.name] for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for setting, value in settings.items():
        if setting not in accepted:
            raise NotFoundError(str(setting), accepted, kind=f"setting of {name}")
        value = settings[setting] = _tuples(value)
        if not _fits(value, accepted[setting]):
            raise PipelineError(f"{name}: {setting} must be {_said(accepted[setting])}, not {value!r}.")
    try:
        return kind(**settings)
    except TypeError as error:  # a setting without a default is missing
        raise PipelineError(f"{name}: {error}; its settings are {', '.join(accepted)}.") from error


def _written(transform: Transform) -> str | dict[str, Any]:
    fields = dataclasses.fields(transform)  # type: ignore[arg-type]
    settings = {field.name: _lists(getattr(transform, field.name)) for field in fields}
    settings = {name: value for name, value in settings.items() if value is not None}
    return {transform.name: settings} if settings else transform.name


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _lists(value: Any) -> Any:
    return list(map(_lists, value)) if isinstance(value, tuple) else value


def _fits(value: Any, hint: Any) -> bool:
    """Tell whether a value that came from YAML is of an annotated type."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        inner = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        return len(value) == len(inner) and all(map(_fits, value, inner))
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, hint or NoneType) and not (hint is int and isinstance(value, bool))


def _said(hint: Any) -> str:
    """Return how a message calls an annotated type."""
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    return str(hint.__name__ if isinstance(hint, type) and not get_origin(hint) else hint)
