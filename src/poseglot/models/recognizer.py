"""A recognizer: encoder, classifier, and - while training with text - one head for each alignment level.

    joint features -> mean over people, frames and all joints -> classifier -> logits
                   -> mean over people, frames and a part's joints -> linear to the text encoder's width -> alignment[part]

(paper, sections 3.1 and 3.4). At test time only `logits` matter: `drop_heads` leaves exactly encoder and classifier. A recognizer is saved
as one safetensors file whose metadata says, in JSON, how to build it again. The methods `from_pretrained`, `save_pretrained`
and `push_to_hub` are those of the Hugging Face Hub.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poseglot.errors import FileError, PoseglotError, SettingError
from poseglot.files import write_atomically
from poseglot.models.card import spec_card
from poseglot.models.encoders import create_encoder
from poseglot.models.pretrained import CARD_FILE, RECOGNIZER_FILE, pretrained_file, push_to_hub
from poseglot.models.tensor_file import read_tensors, write_tensors
from poseglot.skeletons.coordinates import summary_of
from poseglot.skeletons.layout import GLOBAL, Layout, load_layout

FORMAT = "poseglot-recognizer/3"
# The format before differs in having no hash (`tensor_file`).
_FORMATS = (FORMAT, "poseglot-recognizer/2")
# The key of a file's table that says how matrices are stored if it is not as in training; all are float32 once loaded.
_STORED = "stored"


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

    def alignment_features(self, x: Tensor) -> Tensor:
        """Map clips (N, M, T, V, C) to the alignment features (levels, N, embed_dim), in the order of the spec's levels."""
        aligned = self(x)["alignment"]
        return torch.stack([aligned[level] for level in self.spec.levels or ()])

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

    @classmethod
    def from_pretrained(cls, name: str | PathLike[str], *, revision: str | None = None) -> Recognizer:
        """Load a trained recognizer, in evaluation mode, on the CPU.

        Args:
            name: The name of a packaged recognizer, the folder of a run, a file, or a repository of the Hugging Face Hub
                (`organisation/name`; a folder of that name has precedence).
            revision: A branch, a tag or a commit of a repository.

        Raises:
            PoseglotError: There is none, it is damaged, or a download failed.
        """
        return load_recognizer(pretrained_file(name, revision=revision))

    def save_pretrained(self, folder: str | PathLike[str], *, half: bool = False, card: str | None = None) -> Path:
        """Write the recognizer and its model card into a folder, and return the folder.

        Args:
            folder: It is made if there is none.
            half: As in `save_recognizer`.
            card: The text of the card, such as `poseglot card` makes for a run; by default what the spec tells.

        Raises:
            FileError: The disk refused.
            SettingError: As `save_recognizer`.
        """
        folder = Path(folder)
        save_recognizer(self, folder / RECOGNIZER_FILE, half=half)
        if card is None:
            card = spec_card(described(self.spec, self.layout), parameters=self.num_parameters)
        write_atomically(folder / CARD_FILE, card)
        return folder

    def push_to_hub(
        self,
        repository: str,
        *,
        half: bool = False,
        card: str | None = None,
        private: bool | None = None,
        token: str | None = None,
        message: str = "Upload a recognizer",
    ) -> str:
        """Upload the recognizer and its model card to a repository of the Hugging Face Hub, and return the address of the commit.

        Args:
            repository: `organisation/name`; it is made if there is none.
            half, card: As in `save_pretrained`.
            private: Whether a new repository is private; by default as the organisation has it.
            token: Of huggingface_hub; by default the one that is logged in.
            message: Of the commit.

        Raises:
            MissingPackageError: huggingface_hub is not installed.
            FileError: The upload failed.
        """
        with tempfile.TemporaryDirectory() as temporary:
            folder = self.save_pretrained(temporary, half=half, card=card)
            return push_to_hub(folder, repository, private=private, token=token, message=message)

    @property
    def num_parameters(self) -> int:
        """The number of parameters, those of the alignment heads included."""
        return sum(parameter.numel() for parameter in self.parameters())

    def __repr__(self) -> str:
        return f"Recognizer({described_in_short(self.spec, self.layout)}, {self.num_parameters:,} parameters)"


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


def save_recognizer(recognizer: Recognizer, path: str | Path, *, half: bool = False) -> None:
    """Write weights and spec to one .safetensors file, atomically.

    Args:
        recognizer: what is written.
        path: the file.
        half: store matrices and kernels as float16, which halves the file; the metadata says so, and loading makes them float32 again.
            Vectors (biases, statistics of normalisation) keep all digits: they are few, and variances may be tiny.

    Raises:
        FileError: the file could not be written.
        SettingError: a weight is too large for float16.
    """
    tensors, table = recognizer.state_dict(), described(recognizer.spec, recognizer.layout)
    if half:
        tensors = {name: tensor.half() if _is_halved(tensor) else tensor for name, tensor in tensors.items()}
        if large := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
            raise SettingError(f"{large[0]} has weights that float16 cannot hold; save the recognizer without half.")
        table[_STORED] = "float16"
    write_tensors(path, tensors, table)


def _is_halved(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.dim() > 1


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
        return _spec_of({name: value for name, value in table.items() if name not in ("format", _STORED)})
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
