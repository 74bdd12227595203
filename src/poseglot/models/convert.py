"""Checkpoints of other software: the public CTR-GCN, CTR-baseline and GAP, and the facts of GAP's code that its numbers depend on.

`recognizer_from_official` maps official parameter names to ours. `input_transform` and `OFFICIAL_PARTS` are what
`recipes/*/official.yaml` switches on: the k-hop "bone" in front of the encoder, and the authors' joint lists per part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from poseglot.errors import FileError, InputError, NotFoundError, SettingError
from poseglot.models.encoders.temporal import MULTI, SINGLE
from poseglot.models.recognizer import Recognizer, RecognizerSpec, new_recognizer
from poseglot.safe_text import counted_people
from poseglot.skeletons.graph import parent_matrix
from poseglot.skeletons.layout import GLOBAL, Layout, as_layout

# Which of the authors' part heads (`part_list.N`) belongs to which level.
OFFICIAL_HEADS = {"head": 0, "hand": 1, "hip": 3, "foot": 2}

# The authors' joints of each part, by layout and by whether the modality is bone. Quirks are kept: hip and foot overlap,
# the NTU bone lists move joint 20 and lose 21, the NW-UCLA bone lists are off by one.
OFFICIAL_PARTS: Mapping[str, Mapping[str, Mapping[str, tuple[int, ...]]]] = {
    "ntu25": {
        "joint": {
            "head": (2, 3, 20),
            "hand": (*range(4, 12), *range(21, 25)),
            "hip": (0, 1, 2, 12, 16),
            "foot": (*range(12, 20),),
        },
        "bone": {"head": (2, 3), "hand": (*range(4, 12), 20, 22, 23, 24), "hip": (0, 1, 12, 16), "foot": (*range(12, 20),)},
    },
    "kinect20": {
        "joint": {"head": (2, 3), "hand": (*range(4, 12),), "hip": (0, 1, 12, 16), "foot": (*range(12, 20),)},
        "bone": {"head": (2,), "hand": (*range(3, 11),), "hip": (0, 1, 11, 15), "foot": (*range(11, 19),)},
    },
}

# The exponent k of the authors' input transform I - A^k, by layout and kind of modality.
_HOPS = {"ntu25": {"joint": 8, "bone": 1}, "kinect20": {"joint": 6, "bone": 1}}

# The pipeline that prepared the input of the public implementations, by layout.
_PIPELINES = {"kinect20": "nw-ucla", "ntu25": "ntu"}


def input_transform(layout: Layout | str, modality: str) -> npt.NDArray[np.float32]:
    """Return the authors' I - A^k (V, V), which turns joints into k-hop bones before the first layer (matrix @ joints).

    On NTU `A` takes each joint to its parent, so k = 1 is child - parent and k = 8 the identity. The authors' tree has its root at the
    middle of the spine (joint 2, counted from 1), which stays absolute; the spine at the shoulders (21) hangs on it. On NW-UCLA the
    authors' edges point the other way: k = 1 gives x_v - sum(children), k = 6 the identity except for one joint.

    Args:
        layout: `ntu25` or `kinect20`, by name or as an object.
        modality: whose kind, joint or bone, decides k.

    Raises:
        NotFoundError: the authors' code does not have the layout.
    """
    table = _known_layout(layout, _HOPS)
    matrix = parent_matrix(table)
    if table.name == "kinect20":
        matrix = matrix.T
    else:
        root, shoulders = table.index["spine_middle"], table.index["spine_shoulder"]
        matrix[root], matrix[shoulders] = 0, 0
        matrix[shoulders, root] = 1
    hops = _HOPS[table.name][_kind(modality)]
    result: npt.NDArray[np.float32] = np.eye(len(table), dtype=np.float32) - np.linalg.matrix_power(matrix, hops)
    return result


def official_parts(layout: Layout | str, modality: str) -> Mapping[str, tuple[int, ...]]:
    """Return the authors' joints of head, hand, hip and foot.

    Raises:
        NotFoundError: the authors' code does not have the layout.
    """
    return OFFICIAL_PARTS[_known_layout(layout, OFFICIAL_PARTS).name][_kind(modality)]


def _known_layout(layout: Layout | str, known: Mapping[str, Any]) -> Layout:
    table = as_layout(layout)
    if table.name not in known:
        raise NotFoundError(table.name, known, kind="layout of the authors' code")
    return table


def _kind(modality: str) -> str:
    return "bone" if modality.startswith("bone") else "joint"


def recognizer_from_official(
    state: Mapping[str, Any],
    *,
    layout: Layout | str = "kinect20",
    people: int = 1,
    input_transform: npt.ArrayLike | None = None,
    parts: Mapping[str, Sequence[int]] | None = None,
    classes: Sequence[str] | None = None,
    modality: str = "joint",
    pipeline: str | None = None,
) -> Recognizer:
    """Build a recognizer with the weights of a public CTR-GCN, CTR-baseline or GAP checkpoint.

    Args:
        state: official names -> arrays or tensors (a leading `module.` is dropped).
        layout, people: of the clips.
        input_transform: (V, V), applied to the joints first. GAP checkpoints need that of `input_transform`, the others none.
        parts: the joints of head, hand, hip and foot; None takes the authors' joint-stream lists for the layout.
        classes: their names; numbers if not given.
        modality, pipeline: of the input that the weights were trained on, remembered for the predictor. The pipeline is by default that of
            the public implementations for the layout.

    Returns:
        The recognizer in evaluation mode. `alignment` has the levels whose heads the checkpoint holds.

    Raises:
        InputError: a name is missing, unknown, or of the wrong shape.
        SettingError: the layout is not one of the public implementations, and no pipeline was given.
    """
    table = as_layout(layout)
    pipeline = pipeline or _PIPELINES.get(table.name)
    if pipeline is None:
        raise SettingError(
            f"the public implementations have no clips of layout {table.name}, only {', '.join(_PIPELINES)}. Give the pipeline that "
            "prepared the clips: pipeline=."
        )
    tensors = {name.removeprefix("module."): _as_tensor(array) for name, array in state.items()}
    names = _OfficialNames(tensors)
    encoder, encoder_kwargs = names.encoder()
    heads = names.heads()
    members = parts if parts is not None else (official_parts(table, "joint") if len(heads) > 1 else {})
    levels = {level: tuple(range(len(table))) if level == GLOBAL else tuple(members[level]) for level in heads}
    count = names.shape("fc.weight")[0]
    recognizer = new_recognizer(
        RecognizerSpec(
            layout=table.described(),
            classes=tuple(classes) if classes is not None else tuple(str(number) for number in range(count)),
            num_persons=people,
            channels=names.shape("data_bn.weight")[0] // (people * len(table)),
            encoder=encoder,
            encoder_kwargs=encoder_kwargs,
            levels=levels or None,
            embed_dim=names.shape(next(iter(heads.values())) + ".weight")[0] if heads else 0,
            input_transform=None
            if input_transform is None
            else tuple(map(tuple, np.asarray(input_transform, dtype=np.float64).tolist())),
            pipeline=pipeline,
            modality=modality,
        ),
        seed=0,
    )
    # With the state's own precision, though never less than single.
    recognizer = recognizer.to(torch.promote_types(names.get("fc.weight").dtype, torch.float32))
    ours = {name: names.tensor_for(name, heads) for name in recognizer.state_dict()}
    names.refuse_leftovers()
    try:
        recognizer.load_state_dict(ours)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()  # under a heading, torch has a line for every tensor that does not fit
        raise InputError(
            f"the official weights do not fit layout {table.name} with {counted_people(people)}: {first}"
        ) from error
    return recognizer.eval()


def read_official_file(path: str | Path) -> dict[str, Tensor]:
    """Read the state of a `.pt` or `.pth` file (by torch's restricted unpickler, tensors only) or of a `.npz` file.

    Raises:
        FileError: the file is missing, of another kind, or holds more than tensors in plain containers.
    """
    path = Path(path)
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name.removeprefix("state/"): torch.from_numpy(arrays[name]) for name in arrays.files}
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise FileError(f"{path} does not exist.") from error
    except Exception as error:  # torch.load raises many kinds: UnpicklingError, RuntimeError, EOFError, ...
        raise FileError(
            f"{path} could not be read as a file of tensors ({type(error).__name__}): it is cut short, of another kind, or holds more than "
            "tensors. Give a state_dict saved by torch.save; nothing in a pickle is ever executed."
        ) from error
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not loaded or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise FileError(f"{path} holds no state_dict (a mapping of names to tensors).")
    return dict(loaded)


def _as_tensor(array: Any) -> Tensor:
    return array.detach().cpu() if isinstance(array, Tensor) else torch.as_tensor(np.asarray(array))


class _OfficialNames:
    """The official tensors by name. It finds each of ours among them, and knows which were used."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors
        # GAP's learnable scales belong to the loss, not to the recognizer.
        self.unused = {name for name in tensors if name != "logit_scale"}

    def get(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise InputError(f"the official state has no {name!r}; is it a CTR-GCN, CTR-baseline or GAP checkpoint?")
        self.unused.discard(name)
        return self.tensors[name]

    def shape(self, name: str) -> torch.Size:
        return self.get(name).shape

    def encoder(self) -> tuple[str, dict[str, Any]]:
        """Return name and options of the encoder that the parameters belong to."""
        kwargs: dict[str, Any] = {"base_channels": self.shape("l1.gcn1.bn.weight")[0]}
        single = "l1.tcn1.conv.weight" in self.tensors
        if single:
            kwargs["kernel"] = self.shape("l1.tcn1.conv.weight")[2]
        if "l1.gcn1.conv_d.0.weight" in self.tensors:
            return "ctr-baseline", kwargs | ({} if single else {"temporal": MULTI})
        return "ctr-gcn", kwargs | ({"temporal": SINGLE} if single else {})

    def heads(self) -> dict[str, str]:
        """Return level -> the official name of its head, for the heads that are there."""
        found = {}
        for name in self.tensors:
            if name.startswith("linear_head.") and name.endswith(".weight"):
                found[GLOBAL] = name.removesuffix(".weight")
        for level, index in OFFICIAL_HEADS.items():
            if f"part_list.{index}.weight" in self.tensors:
                found[level] = f"part_list.{index}"
        return found

    def refuse_leftovers(self) -> None:
        if self.unused:
            raise InputError(
                f"{len(self.unused)} official names have no counterpart in our model, for example {sorted(self.unused)[0]!r}."
            )

    def tensor_for(self, ours: str, heads: Mapping[str, str]) -> Tensor:
        """Return the official tensor (or several as one) for one of our names."""
        kind, _, rest = ours.partition(".")
        if kind == "classifier":
            return self.get(f"fc.{rest}")
        if kind == "heads":
            level, _, field = rest.partition("_head.")
            return self.get(f"{heads[level]}.{field}")
        if rest.startswith("input_norm."):
            return self.get(rest.replace("input_norm", "data_bn"))
        _, number, unit, rest = rest.split(".", 3)
        prefix = f"l{int(number) + 1}"
        readers: Mapping[str, Callable[[str, str], Tensor]] = {
            "graph": self._graph,
            "temporal": self._temporal,
            "residual": lambda prefix, rest: self.get(f"{prefix}.residual.{_conv_or_bn(rest)}"),
        }
        return readers[unit](prefix, rest)

    def _graph(self, prefix: str, rest: str) -> Tensor:
        unit, _, field = rest.partition(".")
        if unit in ("adjacency", "alpha"):
            return self.get(f"{prefix}.gcn1.{'PA' if unit == 'adjacency' else 'alpha'}")
        if unit == "norm":
            return self.get(f"{prefix}.gcn1.bn.{field}")
        if unit == "residual":
            return self.get(f"{prefix}.gcn1.down.{field}")
        if unit == "conv":
            sources = [f"conv_d.{subset}" for subset in range(3)]
        else:
            conv = {"theta": "conv1", "phi": "conv2", "value": "conv3", "project": "conv4"}[unit]
            sources = [f"convs.{subset}.{conv}" for subset in range(3)]
        stacked = torch.stack([self.get(f"{prefix}.gcn1.{source}.{field}") for source in sources])
        return stacked.flatten(3).squeeze(-1) if field == "weight" else stacked

    def _temporal(self, prefix: str, rest: str) -> Tensor:
        """Ours convolve (1, frames), the official ones (frames, 1)."""
        unit, _, field = rest.partition(".")
        if unit in ("conv", "norm"):
            found = self.get(f"{prefix}.tcn1.{'conv' if unit == 'conv' else 'bn'}.{field}")
            return found.mT if (unit, field) == ("conv", "weight") else found
        branches = f"{prefix}.tcn1.branches"
        if unit in ("narrow", "wide"):
            found = self.get(f"{branches}.{0 if unit == 'narrow' else 1}.3.conv.{field}")
            return found.mT if field == "weight" else found
        if unit == "point":
            return self.get(f"{branches}.3.0.{field}")
        sources = {
            "entry": [f"{branches}.{branch}.0" for branch in range(3)],
            "entry_norm": [f"{branches}.{branch}.1" for branch in range(3)],
            "exit_norm": [f"{branches}.0.3.bn", f"{branches}.1.3.bn", f"{branches}.2.4", f"{branches}.3.1"],
        }[unit]
        parts = [self.get(f"{source}.{field}") for source in sources]
        return parts[0] if field == "num_batches_tracked" else torch.cat(parts)


def _conv_or_bn(rest: str) -> str:
    index, _, field = rest.partition(".")
    return f"{'conv' if index == '0' else 'bn'}.{field}"
