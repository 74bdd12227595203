"""A segmenter: a small temporal network on a recognizer's dense features, which says for every step of a recording what is done.

Farha and Gall, "MS-TCN: Multi-Stage Temporal Convolutional Network for Action Segmentation" (CVPR 2019): a stage of dilated convolutions,
and stages that refine the probabilities of the stage before. Ishikawa et al., "Alleviating Over-segmentation Errors by Detecting Action
Boundaries" (WACV 2021): a second branch says where actions begin. The recognizer's own weights are not changed. A segmenter is saved as
one safetensors file beside its recognizer and holds the hash of that recognizer's file.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.errors import FileError, SettingError
from poseglot.files import sha256_of
from poseglot.models.dense import Features
from poseglot.models.tensor_file import read_tensors, write_tensors

FORMAT = "poseglot-segmenter/1"
Probabilities = npt.NDArray[np.float64]
# Beyond these a file is damaged: it would claim any amount of memory.
_MIN_STEP, _MAX_WINDOW, _MAX_DEPTH = 1e-3, 3600.0, 16


@dataclass(frozen=True)
class SegmenterSpec:
    """Everything needed to build a segmenter and to compute its input.

    Attributes:
        classes: The recognizer's. The network has one output more, the last: none of them.
        features: The width of its input: the recognizer's features, times the number of windows.
        windows: The lengths of the windows (`models.dense`), in seconds.
        step: The time between two feature vectors, in seconds.
        channels, layers, stages: The width, the number of dilated layers of a stage, and the number of stages.
        recognizer: The SHA-256 of the recognizer's file.
        recordings: The hashes of the joints of the annotated recordings that it has learned from.
    """

    classes: tuple[str, ...]
    features: int
    windows: tuple[float, ...]
    step: float
    channels: int = 64
    layers: int = 6
    stages: int = 3
    recognizer: str = ""
    recordings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        numbers = (self.features, self.step, self.channels, self.layers, self.stages, *self.windows)
        if not self.classes or not self.windows or not min(numbers) > 0:
            raise SettingError(f"a segmenter has classes, windows and sizes above 0, not {self}.")
        if not (
            self.step >= _MIN_STEP
            and max(self.windows) <= _MAX_WINDOW
            and self.stages <= _MAX_DEPTH
            and self.layers <= _MAX_DEPTH
        ):
            raise SettingError(
                f"a segmenter has steps of at least {_MIN_STEP} s, windows of at most {_MAX_WINDOW:g} s and at most {_MAX_DEPTH} stages "
                f"and layers, not {self}."
            )


class Segmenter(nn.Module):
    """Dense features (N, F, T) -> for each stage logits (N, classes + 1, T), and the logits of a boundary (N, T).

    Args:
        spec: What to build.
    """

    def __init__(self, spec: SegmenterSpec, *, dropout: float = 0.3) -> None:
        super().__init__()
        self.spec, outputs = spec, len(spec.classes) + 1
        self.register_buffer("mean", torch.zeros(spec.features, 1))
        self.register_buffer("std", torch.ones(spec.features, 1))
        self.mean: Tensor
        self.std: Tensor
        # Whole channels, because the features of the recognizer's training clips are surer than those of others.
        self.dropout = nn.Dropout1d(dropout)
        widths = [spec.features] + [outputs] * (spec.stages - 1)
        self.stages = nn.ModuleList(_Stage(width, spec.channels, spec.layers, dropout) for width in widths)
        self.heads = nn.ModuleList(nn.Conv1d(spec.channels, outputs, 1) for _ in widths)
        self.boundary = nn.Sequential(
            nn.Conv1d(spec.channels, spec.channels, 3, padding=1), nn.ReLU(), nn.Conv1d(spec.channels, 1, 1)
        )

    def __repr__(self) -> str:
        windows = ", ".join(f"{length:.2f}" for length in self.spec.windows)
        return f"Segmenter({len(self.spec.classes)} classes, windows of {windows} s, a step of {self.spec.step:.3f} s)"

    def forward(self, features: Tensor) -> tuple[list[Tensor], Tensor]:
        x, logits, boundary = self.dropout((features - self.mean) / self.std), [], None
        for stage, head in zip(self.stages, self.heads, strict=True):
            hidden = stage(x)
            boundary = self.boundary(hidden)[:, 0] if boundary is None else boundary
            logits.append(head(hidden))
            x = logits[-1].softmax(dim=1)
        assert boundary is not None
        return logits, boundary

    def normalise_like(self, features: Features) -> None:
        """Set the mean and standard deviation by which features (T, F) are normalised."""
        self.mean.copy_(torch.from_numpy(features.mean(axis=0))[:, None])
        self.std.copy_(torch.from_numpy(features.std(axis=0) + 1e-3)[:, None])

    def probabilities(self, features: Features) -> tuple[Probabilities, Probabilities]:
        """Return the probabilities (T, classes + 1) of the last stage, and of a boundary (T,), of dense features (T, F).

        Raises:
            SettingError: The features have another width.
        """
        if features.shape[1] != self.spec.features:
            raise SettingError(f"{features.shape[1]} features per step came; this segmenter takes {self.spec.features}.")
        with torch.inference_mode():
            logits, boundary = self(torch.from_numpy(features).T[None].to(self.mean.device))
            return logits[-1][0].T.double().softmax(dim=1).cpu().numpy(), boundary[0].double().sigmoid().cpu().numpy()


class _Stage(nn.Module):
    """Residual layers (N, C_in, T) -> (N, C, T) whose dilation doubles from one to the next."""

    def __init__(self, in_channels: int, channels: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.enter = nn.Conv1d(in_channels, channels, 1)
        self.dilated = nn.ModuleList(nn.Conv1d(channels, channels, 3, padding=2**k, dilation=2**k) for k in range(layers))
        self.mix = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        for dilated, mix in zip(self.dilated, self.mix, strict=True):
            x = x + self.dropout(mix(F.relu(dilated(x))))
        return x


def save_segmenter(segmenter: Segmenter, path: str | Path) -> None:
    """Write weights and spec to one .safetensors file, atomically.

    Raises:
        FileError: The file could not be written.
    """
    write_tensors(path, segmenter.state_dict(), {"format": FORMAT, **asdict(segmenter.spec)})


def load_segmenter(path: str | Path, recognizer: str | Path) -> Segmenter:
    """Read a saved segmenter, in evaluation mode, on the CPU.

    Args:
        path: Its file.
        recognizer: The file of the recognizer whose features it gets.

    Raises:
        FileError: The file is missing, damaged, no segmenter, or was made for another recognizer.
    """
    table, tensors = read_tensors(path)
    remedy = "Run `poseglot train-segmenter` again, or delete the file."
    if table.pop("format", None) != FORMAT:
        raise FileError(f"{path} is not a segmenter ({FORMAT}). {remedy}")
    try:
        segmenter = Segmenter(_spec_of(table))
        segmenter.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError, SettingError) as error:
        raise FileError(f"{path} does not hold the segmenter that it describes ({error}). {remedy}") from error
    if not all(tensor.isfinite().all() for tensor in segmenter.state_dict().values()):
        raise FileError(f"{path} holds weights that are not finite. {remedy}")
    if segmenter.spec.recognizer != sha256_of(recognizer):
        raise FileError(f"{path} was made for another recognizer than {recognizer}. {remedy}")
    return segmenter.eval()


def _spec_of(table: dict[str, Any]) -> SegmenterSpec:
    tuples = {name: tuple(table.get(name, ())) for name in ("classes", "windows", "recordings")}
    return SegmenterSpec(**{**table, **tuples})
