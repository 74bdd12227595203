"""Train the segmenter of a run: a network that says where actions begin and end in long recordings.

    segmenter = train_segmenter("runs/first")    # writes runs/first/segmenter.safetensors

The recognizer stays as it is. Recordings are joined from its own training clips (`training.recordings`), and their dense features
(`models.dense`) are computed once. The loss of each stage is the cross-entropy of the steps and the truncated squared difference of
neighbouring log-probabilities (MS-TCN); that of the boundary branch is a binary cross-entropy (ASRF).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from poseglot.data.tracking import window_clips
from poseglot.errors import InputError, SettingError
from poseglot.evaluation.segments import BACKGROUND
from poseglot.files import sha256_of
from poseglot.models.dense import Features, Windows, dense_features, frames_of
from poseglot.models.fuse import FusedRecognizer, fuse
from poseglot.models.segmenter import Segmenter, SegmenterSpec, save_segmenter
from poseglot.skeletons.batch import ClipBatch
from poseglot.skeletons.clip import Joints
from poseglot.training.recordings import JoinConfig, Labels, Recording, make_recordings
from poseglot.training.run import Run, as_run
from poseglot.transforms import Pipeline, load_pipeline
from poseglot.transforms.transform import Randomness

_UNCHANGED_EVERY = 4  # one recording in four is not turned, as those that are to be segmented are not
_IGNORED = -100  # the label of steps behind the end of a recording
_SMOOTHING, _MAX_STEP = 0.15, 4.0  # weight and truncation of the smoothing term, as in MS-TCN
_BOUNDARY_WEIGHT, _BOUNDARY_POSITIVE = 0.3, 3.0


@dataclass(frozen=True)
class SegmenterConfig:
    """Settings of `train_segmenter`.

    Attributes:
        recordings: The number of recordings that are joined.
        join: How they are joined.
        windows: The lengths of the windows as multiples of the median length of a training clip.
        steps_per_window: The steps (`SegmenterSpec.step`) in the shortest window.
        updates: The number of updates of the network.
        batch_size, crop: Each update sees this number of pieces of this number of steps.
        lr: The highest learning rate.
        label_smoothing: Of the cross-entropy.
        seed: Draws recordings, initial weights, pieces and dropout.
    """

    recordings: int = 150
    join: JoinConfig = field(default_factory=JoinConfig)
    windows: tuple[float, ...] = (0.6, 1.6)
    steps_per_window: int = 5
    updates: int = 600
    batch_size: int = 8
    crop: int = 128
    lr: float = 1e-3
    label_smoothing: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        numbers = (self.recordings, self.steps_per_window, self.updates, self.batch_size, self.crop, self.lr, *self.windows)
        if not self.windows or not min(numbers) > 0:
            raise SettingError(f"the settings of a segmenter are above 0, unlike {self}.")


@dataclass(frozen=True, eq=False)
class Example:
    """A recording as the network sees it: dense features (T, F) and the label of each step (T,), the number of classes for none."""

    features: Features
    labels: Labels


def train_segmenter(
    run: Run | str | Path,
    *,
    fps: float = 30.0,
    recordings: Sequence[Recording] = (),
    config: SegmenterConfig | None = None,
    progress: bool = False,
) -> Segmenter:
    """Train the segmenter of a run on recordings joined from its training clips, and write it beside the recognizer.

    Args:
        run: A run, or its folder. Its store is needed.
        fps: The frames per second of the training clips.
        recordings: Annotated recordings in the recognizer's joints, which are learned from, too.
        config: The settings; by default `SegmenterConfig()`.
        progress: Whether to show progress bars.

    Raises:
        FileError: The run or its store cannot be read, or the file cannot be written.
        InputError: There are fewer than two training clips.
        SettingError: Frames per second are not above 0.
    """
    run, config = as_run(run), config or SegmenterConfig()
    if not fps > 0:
        raise SettingError(f"frames per second must be above 0, not {fps}.")
    indices, labels = run.train.indices, run.train.labels.numpy()
    indices, labels = indices[labels >= 0], labels[labels >= 0]
    if len(indices) < 2:
        raise InputError(f"{run.folder} was trained on {len(indices)} clips; recordings are joined from two or more.")
    median = float(np.median(run.store.clips["frames"][indices])) / fps
    lengths = tuple(round(share * median, 4) for share in config.windows)
    joined: Iterable[Recording] = make_recordings(
        run.store, indices, labels, count=config.recordings, fps=fps, config=config.join, seed=config.seed
    )
    encoder = RecordingEncoder(run, lengths, min(lengths) / config.steps_per_window, fps)
    # Each own recording as it is, and turned in other ways.
    made = itertools.chain(joined, (own for own in recordings for _ in range(_UNCHANGED_EVERY)))
    bar = tqdm(
        made,
        desc="features",
        unit="recording",
        total=config.recordings + _UNCHANGED_EVERY * len(recordings),
        disable=None if progress else True,
    )
    examples = [encoder(recording, seed=config.seed, number=number) for number, recording in enumerate(bar)]
    spec = SegmenterSpec(
        run.classes,
        examples[0].features.shape[1],
        lengths,
        encoder.step,
        recognizer=sha256_of(run.files.recognizer),
        recordings=tuple(sorted({own.source for own in recordings} - {""})),
    )
    segmenter = fit(spec, examples, config, progress=progress)
    save_segmenter(segmenter, run.files.segmenter)
    return segmenter


class RecordingEncoder:
    """Turns recordings into examples, with the recognizer of a run.

    Args:
        run: The run.
        windows, step: As in `SegmenterSpec`, in seconds.
        fps: Frames per second of recordings that do not state them.
    """

    def __init__(self, run: Run, windows: tuple[float, ...], step: float, fps: float) -> None:
        self.windows, self.step, self.fps = windows, step, fps
        self._classes, self._modality = len(run.classes), run.spec.modality
        self._store, self._device, self._num_persons = run.store, run.device, run.spec.num_persons
        self._fused: FusedRecognizer = fuse(run.recognizer.drop_heads())
        self._pipeline: Pipeline = load_pipeline(run.spec.pipeline)

    def __call__(self, recording: Recording, *, seed: int, number: int) -> Example:
        """Return an example. Most recordings are changed as training clips are, as a whole: seed and number say how."""
        joints = recording.joints
        if number % _UNCHANGED_EVERY:
            joints = self._augmented(joints, Randomness(seed, 0, torch.tensor([number])))
        fps = recording.fps or self.fps
        frames, step = joints.shape[1], self.step * fps
        lengths = [frames_of(length, fps) for length in self.windows]
        features = dense_features(partial(self._encode, joints), frames, lengths=lengths, step=step)
        middle = np.minimum(((np.arange(len(features)) + 0.5) * step).astype(np.int64), frames - 1)
        labels = recording.labels[middle]
        return Example(features, np.where(labels == BACKGROUND, self._classes, labels))

    def _augmented(self, joints: Joints, randomness: Randomness) -> Joints:
        batch = self._batch(joints[None], np.array([joints.shape[1]]))
        for transform in self._pipeline.transforms:
            if transform.augments:
                batch = transform(batch, randomness)
        changed: Joints = batch.joints[0].numpy()
        return changed

    def _encode(self, joints: Joints, windows: Windows) -> Features:
        inputs = self._pipeline(self._batch(*window_clips(joints, windows, self._num_persons)), modality=self._modality)
        inputs = F.pad(inputs, (0, 0) * 3 + (0, self._num_persons - inputs.shape[1]))
        with torch.inference_mode():
            features: Features = self._fused.features_over_time(inputs.to(self._device)).cpu().numpy()
        return features

    def _batch(self, joints: npt.NDArray[np.float32], lengths: npt.NDArray[np.int64]) -> ClipBatch:
        persons = torch.full((len(joints),), joints.shape[1])
        store = self._store
        return ClipBatch(
            torch.from_numpy(np.ascontiguousarray(joints)),
            torch.from_numpy(lengths),
            persons,
            store.layout,
            store.info.has_scores,
        )


def fit(spec: SegmenterSpec, examples: Iterable[Example], config: SegmenterConfig, *, progress: bool = False) -> Segmenter:
    """Return a segmenter, trained on examples, in evaluation mode. Equal settings give equal weights."""
    examples = list(examples)
    rng = np.random.default_rng(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        segmenter = Segmenter(spec)
        # A piece of any time is as likely as any other.
        steps = np.cumsum([len(example.labels) for example in examples])
        segmenter.normalise_like(np.concatenate([example.features for example in examples]))
        optimizer = torch.optim.AdamW(segmenter.parameters(), config.lr, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda update: _factor(update, config.updates))
        for _ in tqdm(range(config.updates), desc="segmenter", disable=None if progress else True):
            drawn = np.searchsorted(steps, rng.integers(steps[-1], size=config.batch_size), side="right").tolist()
            pieces = [_piece(examples[number], config.crop, rng) for number in drawn]
            features = torch.from_numpy(np.stack([piece.features for piece in pieces])).mT
            labels = torch.from_numpy(np.stack([piece.labels for piece in pieces]))
            logits, boundary = segmenter(features)
            loss = segmenter_loss(logits, boundary, labels, label_smoothing=config.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(segmenter.parameters(), 5.0)
            optimizer.step()
            schedule.step()
    return segmenter.eval()


def _factor(update: int, updates: int) -> float:
    """Return the factor of the learning rate: a linear rise over a tenth of the updates, then half a cosine."""
    warmup = max(1, updates // 10)
    return min((update + 1) / warmup, 0.5 + 0.5 * math.cos(math.pi * max(0, update - warmup) / max(1, updates - warmup)))


def segmenter_loss(logits: list[Tensor], boundary: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Return the loss of the stages' logits (N, classes, T) and the boundary's (N, T) for labels (N, T), -100 where there is no step."""
    counts = labels != _IGNORED
    total = labels.new_zeros((), dtype=torch.float32)
    for stage in logits:
        total = total + F.cross_entropy(stage, labels, ignore_index=_IGNORED, label_smoothing=label_smoothing)
        log = stage.log_softmax(dim=1)
        steps = (log[..., 1:] - log[..., :-1].detach()).abs().clamp(max=_MAX_STEP).square()
        total = total + _SMOOTHING * (steps.mean(dim=1) * counts[:, 1:]).mean()
    # The two steps at a change: a cut lies between them.
    changes = F.pad((labels[:, 1:] != labels[:, :-1]) & counts[:, 1:], (1, 1))
    near = (changes[:, 1:] | changes[:, :-1]).float()
    positive = boundary.new_tensor(_BOUNDARY_POSITIVE)
    each = F.binary_cross_entropy_with_logits(boundary, near, pos_weight=positive, reduction="none")
    return total + _BOUNDARY_WEIGHT * (each * counts).sum() / counts.sum()


def _piece(example: Example, crop: int, rng: np.random.Generator) -> Example:
    """Return `crop` steps of an example from a drawn one on, padded where it is shorter."""
    start = int(rng.integers(max(1, len(example.labels) - crop + 1)))
    features, labels = example.features[start : start + crop], example.labels[start : start + crop]
    missing = crop - len(labels)
    return Example(np.pad(features, [(0, missing), (0, 0)]), np.pad(labels, (0, missing), constant_values=_IGNORED))
