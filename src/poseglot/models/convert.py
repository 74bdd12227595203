"""Weights of the public CTR-GCN and GAP implementations, and the facts of GAP's code that its numbers depend on.

`recognizer_from_official` maps official parameter names to ours. `hop_transform` and `OFFICIAL_PARTS` are the quirks that
the recipe nw-ucla/official switches on: the k-hop "bone" in front of the encoder and the authors' joint lists per part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from poseglot.errors import PoseglotError
from poseglot.models.recognizer import Recognizer, RecognizerSpec, new_recognizer
from poseglot.skeletons.graph import parent_matrix
from poseglot.skeletons.layout import GLOBAL, Layout, load_layout
from poseglot.skeletons.protocols import PIPELINES, load_pipeline

# Which of the authors' part heads (`part_list.N`) belongs to which level.
OFFICIAL_HEADS = {"head": 0, "hand": 1, "hip": 3, "foot": 2}

# The authors' joints of each part, by layout and by whether the stream is a bone modality. Quirks and all: hip and foot overlap,
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

# The exponent k of the authors' input transform I - A^k, by layout and stream kind.
_HOPS = {"ntu25": {"joint": 8, "bone": 1}, "kinect20": {"joint": 6, "bone": 1}}


# How the clips of a layout were fed to the public implementations.
_PROTOCOLS = {"kinect20": "nw-ucla", "ntu25": "ntu"}


def hop_transform(layout: Layout, modality: str) -> npt.NDArray[np.float32]:
    """(V, V): the authors' I - A^k, which turns joints into k-hop bones before the first layer.

    On NTU `A` takes each joint to its parent, so k = 1 is child - parent (the root stays absolute) and k = 8 the identity. On NW-UCLA
    the authors' edges point the other way: k = 1 gives x_v - sum(children), k = 6 the identity except for one joint.

    Raises:
        PoseglotError: the authors had no such layout.
    """
    if layout.name not in _HOPS:
        raise PoseglotError(f"the authors' code knows the layouts {', '.join(_HOPS)}, not {layout.name}.")
    parents = parent_matrix(layout)
    matrix = parents.T if layout.name == "kinect20" else parents
    hops = _HOPS[layout.name][_kind(modality)]
    result: npt.NDArray[np.float32] = np.eye(len(layout), dtype=np.float32) - np.linalg.matrix_power(matrix, hops)
    return result


def official_parts(layout: Layout, modality: str) -> Mapping[str, tuple[int, ...]]:
    """The authors' joints of head, hand, hip and foot.

    Raises:
        PoseglotError: the authors had no such layout.
    """
    if layout.name not in OFFICIAL_PARTS:
        raise PoseglotError(f"the authors' code knows the layouts {', '.join(OFFICIAL_PARTS)}, not {layout.name}.")
    return OFFICIAL_PARTS[layout.name][_kind(modality)]


def _kind(modality: str) -> str:
    return "bone" if modality.startswith("bone") else "joint"


def recognizer_from_official(
    state: Mapping[str, Any],
    *,
    layout: str = "kinect20",
    people: int = 1,
    input_transform: npt.ArrayLike | None = None,
    parts: Mapping[str, Sequence[int]] | None = None,
    classes: Sequence[str] | None = None,
    modality: str = "joint",
    pipeline: str | None = None,
) -> Recognizer:
    """A recognizer with the weights of a public CTR-GCN (multi-scale) or GAP checkpoint.

    Args:
        state: official names -> arrays or tensors (a `module.` in front is dropped).
        layout, people: of the clips.
        input_transform: (V, V), applied to the joints first; GAP checkpoints want `hop_transform`, CTR-GCN's none.
        parts: the joints of head, hand, hip and foot; None takes the authors' joint-stream lists for the layout.
        classes: their names; numbers if not given.
        stream, protocol: the view that the weights were trained on, remembered for the predictor; the protocol is by default that of
            the public implementations for the layout.

    Returns:
        The recognizer in evaluation mode; `alignment` has the levels whose heads the checkpoint holds.

    Raises:
        PoseglotError: a name is missing, unknown, or of the wrong shape, or the protocol must be said.
    """
    table = load_layout(layout)
    pipeline = pipeline or _PROTOCOLS.get(layout)
    if pipeline is None:
        raise PoseglotError(
            f"the public implementations have no clips of layout {table.name} ({', '.join(_PROTOCOLS)}); say how such clips were fed: "
            f"protocol=, one of {', '.join(PIPELINES)}."
        )
    tensors = {name.removeprefix("module."): _as_tensor(array) for name, array in state.items()}
    names = _OfficialNames(tensors)
    width, channels = names.shape("l1.gcn1.bn.weight")[0], names.shape("data_bn.weight")[0] // (people * len(table))
    heads = names.heads()
    members = parts if parts is not None else (official_parts(table, "joint") if len(heads) > 1 else {})
    levels = {level: tuple(range(len(table))) if level == GLOBAL else tuple(members[level]) for level in heads}
    count = names.shape("fc.weight")[0]
    recognizer = new_recognizer(
        RecognizerSpec(
            layout=table.described(),
            classes=tuple(classes) if classes is not None else tuple(str(number) for number in range(count)),
            num_persons=people,
            channels=channels,
            encoder_kwargs={"base_channels": width},
            levels=levels or None,
            embed_dim=names.shape(next(iter(heads.values())) + ".weight")[0] if heads else 0,
            input_transform=None
            if input_transform is None
            else tuple(map(tuple, np.asarray(input_transform, dtype=np.float64).tolist())),
            pipeline=load_pipeline(pipeline).name,
            modality=modality,
        ),
        seed=0,
    )
    # Of the state's own precision, though never less than single.
    recognizer = recognizer.to(torch.promote_types(names.get("fc.weight").dtype, torch.float32))
    ours = {name: names.tensor_for(name, heads) for name in recognizer.state_dict()}
    names.refuse_leftovers()
    try:
        recognizer.load_state_dict(ours)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()  # under a heading, torch has a line for every tensor that does not fit
        raise PoseglotError(f"the official weights do not fit layout {table.name} with {people} people: {first}") from error
    return recognizer.eval()


def read_official_file(path: Path) -> dict[str, Tensor]:
    """The state of a `.pt` / `.pth` file (read with torch's restricted unpickler, tensors only) or a `.npz` file.

    Raises:
        PoseglotError: not there, not such a file, or holding more than tensors in plain containers.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name.removeprefix("state/"): torch.from_numpy(arrays[name]) for name in arrays.files}
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise PoseglotError(f"{path} does not exist.") from error
    except Exception as error:  # torch.load raises many kinds: UnpicklingError, RuntimeError, EOFError, ...
        raise PoseglotError(
            f"{path} could not be read as a file of tensors ({type(error).__name__}). It is cut short, another kind of file, or holds "
            "more than tensors. Accepted are state_dicts saved by torch.save; nothing in a pickle is ever executed."
        ) from error
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not loaded or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise PoseglotError(f"{path} holds no state_dict (a mapping of names to tensors).")
    return dict(loaded)


def _as_tensor(array: Any) -> Tensor:
    return array.detach().cpu() if isinstance(array, Tensor) else torch.as_tensor(np.asarray(array))


class _OfficialNames:
    """Finds each of our tensors among the official ones, and knows which were used."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors
        # GAP's learnable scales belong to the loss, not to the recognizer.
        self.unused = {name for name in tensors if name != "logit_scale"}

    def get(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise PoseglotError(f"the official state has no {name!r}; is it a multi-scale CTR-GCN or a GAP checkpoint?")
        self.unused.discard(name)
        return self.tensors[name]

    def shape(self, name: str) -> torch.Size:
        return self.get(name).shape

    def heads(self) -> dict[str, str]:
        """Level -> the official name of its head, for the heads that are there."""
        found = {}
        for name in self.tensors:
            if name.startswith("linear_head.") and name.endswith(".weight"):
                found[GLOBAL] = name.removesuffix(".weight")
        for level, place in OFFICIAL_HEADS.items():
            if f"part_list.{place}.weight" in self.tensors:
                found[level] = f"part_list.{place}"
        return found

    def refuse_leftovers(self) -> None:
        if self.unused:
            raise PoseglotError(
                f"{len(self.unused)} official names have no place in our model, for example {sorted(self.unused)[0]!r}."
            )

    def tensor_for(self, ours: str, heads: Mapping[str, str]) -> Tensor:
        """The official tensor (or several as one) for one of our names."""
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
        conv = {"theta": "conv1", "phi": "conv2", "value": "conv3", "project": "conv4"}[unit]
        stacked = torch.stack([self.get(f"{prefix}.gcn1.convs.{subset}.{conv}.{field}") for subset in range(3)])
        return stacked.flatten(3).squeeze(-1) if field == "weight" else stacked

    def _temporal(self, prefix: str, rest: str) -> Tensor:
        unit, _, field = rest.partition(".")
        branches = f"{prefix}.tcn1.branches"
        if unit in ("narrow", "wide"):
            return self.get(f"{branches}.{0 if unit == 'narrow' else 1}.3.conv.{field}")
        if unit == "point":
            return self.get(f"{branches}.3.0.{field}")
        sources = {
            "entry": [f"{branches}.{branch}.0" for branch in range(3)],
            "entry_norm": [f"{branches}.{branch}.1" for branch in range(3)],
            "exit_norm": [f"{branches}.0.3.bn", f"{branches}.1.3.bn", f"{branches}.2.4", f"{branches}.3.1"],
        }[unit]
        found = [self.get(f"{source}.{field}") for source in sources]
        return found[0] if field == "num_batches_tracked" else torch.cat(found)


def _conv_or_bn(rest: str) -> str:
    place, _, field = rest.partition(".")
    return f"{'conv' if place == '0' else 'bn'}.{field}"
