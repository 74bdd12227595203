"""A recognizer: encoder, classifier, and - while training with text - one head for each alignment level.

    joint features -> mean over people, frames and all joints -> classifier -> logits
                   -> mean over people, frames and a part's joints -> linear to the text encoder's width -> alignment[part]

(paper, sections 3.1 and 3.4). At test time only `logits` matter: `drop_heads` leaves exactly encoder and classifier. A recognizer is saved
as one safetensors file whose metadata says, in JSON, how to build it again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poseglot.errors import FileError, PoseglotError
from poseglot.models.encoders import create_encoder
from poseglot.models.tensor_file import read_tensors, write_tensors
from poseglot.skeletons.coordinates import summary_of
from poseglot.skeletons.layout import GLOBAL, Layout, load_layout

FORMAT = "poseglot-recognizer/3"
# The format before differs in having no hash (`tensor_file`).
_FORMATS = (FORMAT, "poseglot-recognizer/2")
# The name of a recognizer in the folder of a run.
RECOGNIZER_FILE = "recognizer.safetensors"


@dataclass(frozen=True)
class RecognizerSpec:
    """Everything needed to build a recognizer and to prepare its input.

    Attributes:
        layout: of the clips: the name of a packaged one, or a table (`Layout.described`).
        classes: class names; logits are in this order.
        num_persons, channels: of the clips; a score counts as a channel.
        encoder, encoder_kwargs: name and options of the encoder.
        levels: alignment level -> the joints it pools; the whole body is `global`. None without text.
        embed_dim: width of the alignment features, that of the text encoder.
        input_transform: (V, V) applied to the joints first (matrix @ joints), or None. The authors' recipes have one.
        pipeline: of the input that it was trained on: the name of a packaged one, or a table (`Pipeline.described`).
        modality: likewise.
        has_scores: whether the last channel of a clip is the confidence in each joint.
        reading: how the training clips were read from their files (`data.readers.reading`), for prediction to read alike.
        coordinates: what they are like (`skeletons.coordinates`), for prediction to compare clips with; None if it is not known.
    """

    layout: str | Mapping[str, Any]
    classes: tuple[str, ...]
    num_persons: int = 1
    channels: int = 3
    encoder: str = "ctr-gcn"
    encoder_kwargs: Mapping[str, Any] | None = None
    levels: Mapping[str, tuple[int, ...]] | None = None
    embed_dim: int = 0
    input_transform: tuple[tuple[float, ...], ...] | None = None
    pipeline: str | Mapping[str, Any] = "nw-ucla"
    modality: str = "joint"
    has_scores: bool = False
    reading: Mapping[str, Any] | None = None
    coordinates: Mapping[str, Any] | None = None


class Recognizer(nn.Module):
    """Clips -> logits and alignment features.

    Args:
        spec: what to build.

    Raises:
        PoseglotError: there is no such layout or encoder, or the encoder refuses its options.
    """

    def __init__(self, spec: RecognizerSpec) -> None:
        super().__init__()
        self.layout: Layout = load_layout(spec.layout)
        # Never a path: the recognizer outlives the file.
        self.spec = replace(spec, layout=self.layout.described())
        self.encoder = create_encoder(
            spec.encoder, self.layout, num_persons=spec.num_persons, channels=spec.channels, **dict(spec.encoder_kwargs or {})
        )
        features = int(self.encoder.features)  # type: ignore[arg-type]
        self.classifier = nn.Linear(features, len(spec.classes))
        nn.init.normal_(self.classifier.weight, std=math.sqrt(2 / len(spec.classes)))
        levels = dict(spec.levels or {})
        self.heads = nn.ModuleDict({f"{level}_head": nn.Linear(features, spec.embed_dim) for level in levels})
        if GLOBAL in levels:
            # As in the authors' code, the whole body's head starts larger than the parts' heads.
            nn.init.kaiming_normal_(self.heads[f"{GLOBAL}_head"].get_parameter("weight"), mode="fan_out")
        # A constant of the spec, not of the state.
        self.register_buffer("members", _members(levels, len(self.layout)), persistent=False)
        self.members: Tensor
        transform = None if spec.input_transform is None else torch.tensor(spec.input_transform)
        self.register_buffer("input_transform", transform, persistent=False)
        self.input_transform: Tensor | None

    def forward(self, x: Tensor) -> dict[str, Any]:
        """Map clips (N, M, T, V, C) to {"logits": (N, classes), "alignment": {level: (N, embed_dim)}}."""
        if self.input_transform is not None:
            x = self.input_transform.to(x.dtype) @ x
        joints = self.encoder(x).mean(dim=(1, 2))  # (N, V, F)
        logits = self.classifier(joints.mean(dim=1))
        members = self.members.to(joints.dtype)
        pooled = (members / members.sum(dim=1, keepdim=True)) @ joints  # (N, levels, F)
        alignment = {
            name.removesuffix("_head"): head(pooled[:, index]) for index, (name, head) in enumerate(self.heads.items())
        }
        return {"logits": logits, "alignment": alignment}

    def drop_heads(self) -> Recognizer:
        """Return the same encoder and classifier (shared, not copied) without alignment heads: what runs at test time."""
        # Put together by hand: building one, on the meta device too, would load torch's compiler, which takes a second.
        bare = Recognizer.__new__(Recognizer)
        nn.Module.__init__(bare)
        bare.layout, bare.spec = self.layout, replace(self.spec, levels=None, embed_dim=0)
        bare.encoder, bare.classifier, bare.heads = self.encoder, self.classifier, nn.ModuleDict()
        bare.register_buffer("members", self.members[:0], persistent=False)
        bare.register_buffer("input_transform", self.input_transform, persistent=False)
        return bare.train(self.training)

    def __repr__(self) -> str:
        parameters = sum(parameter.numel() for parameter in self.parameters())
        return f"Recognizer({described_in_short(self.spec, self.layout)}, {parameters:,} parameters)"


def described_in_short(spec: RecognizerSpec, layout: Layout) -> str:
    """Return the facts of a spec that a repr shows."""
    people = f", {spec.num_persons} people" if spec.num_persons > 1 else ""
    levels = f", levels {'/'.join(spec.levels)}" if spec.levels else ""
    return (
        f"{spec.encoder}, layout {layout.name}{people}, {spec.modality} by {spec.pipeline}, {len(spec.classes)} classes{levels}"
    )


def new_recognizer(spec: RecognizerSpec, *, seed: int) -> Recognizer:
    """Build a recognizer with random weights that follow from the seed. Torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Recognizer(spec)


def _members(levels: Mapping[str, Sequence[int]], joints: int) -> Tensor:
    """Return (levels, V): 1 where a level pools a joint. Not divided by their number: a third has other digits in another precision."""
    matrix = torch.zeros(len(levels), joints)
    for row, members in zip(matrix, levels.values(), strict=True):
        row[list(members)] = 1
    return matrix


def save_recognizer(recognizer: Recognizer, path: str | Path) -> None:
    """Write weights and spec to one .safetensors file, atomically.

    Raises:
        PoseglotError: the file could not be written.
    """
    write_tensors(path, recognizer.state_dict(), described(recognizer.spec, recognizer.layout))


def described(spec: RecognizerSpec, layout: Layout) -> dict[str, Any]:
    """Return a spec as a JSON table. The layout is written out, so that the table keeps its meaning if a packaged one changes."""
    table = {"format": FORMAT, **asdict(spec), "layout_table": layout.table()}
    del table["layout"]
    return table


def load_recognizer(path: str | Path) -> Recognizer:
    """Read a saved recognizer, in evaluation mode, on the CPU.

    Raises:
        FileError: the file is missing, damaged or not one of ours, or its weights are not finite or do not fit its spec.
    """
    table, tensors = read_tensors(path)
    if damaged := [name for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()]:
        raise FileError(f"{path} has NaN or infinity in {damaged[0]}; it is damaged, or its training diverged.")
    spec = spec_of(table, path)
    recognizer = new_recognizer(spec, seed=0)
    try:
        recognizer.load_state_dict(tensors)
    except RuntimeError as error:
        raise FileError(f"the weights in {path} do not fit the recognizer that the file describes: {error}") from error
    return recognizer.eval()


def spec_of(table: Mapping[str, Any], origin: str | Path) -> RecognizerSpec:
    """Return the spec of a table that `described` made.

    Raises:
        FileError: it is no such table, or something in it is missing or wrong.
    """
    if table.get("format") not in _FORMATS:
        raise FileError(
            f"{origin} is not a Poseglot recognizer ({FORMAT}). Checkpoints of other software: `poseglot import-weights`."
        )
    try:
        return _spec_of({name: value for name, value in table.items() if name != "format"})
    except (KeyError, TypeError, ValueError, AttributeError, PoseglotError) as error:
        raise FileError(f"{origin} does not say how to build its recognizer ({type(error).__name__}: {error}).") from error


def _spec_of(table: dict[str, Any]) -> RecognizerSpec:
    """Turn JSON's lists into tuples."""
    table["layout"] = load_layout(dict(table.pop("layout_table"))).described()
    table["classes"] = tuple(table["classes"])
    if table["levels"] is not None:
        table["levels"] = {level: tuple(joints) for level, joints in table["levels"].items()}
    if table["input_transform"] is not None:
        table["input_transform"] = tuple(map(tuple, table["input_transform"]))
    if table.get("coordinates") is not None:
        summary_of(table["coordinates"])
    return RecognizerSpec(**table)
