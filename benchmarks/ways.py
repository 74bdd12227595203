"""The ways to train CTR-GCN and to answer with it that `speed.py` times, each set up to do the same with the same weights and clips.

The weights are those of the plain network (`plain.py`), taken over into ours. Shapes: clips (N, M, T, V, C), text features (levels, N,
width).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from plain import PlainGAP, plain_loss
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from poseglot.errors import PoseglotError
from poseglot.kernels import native
from poseglot.losses import alignment_loss
from poseglot.models.convert import OFFICIAL_PARTS, recognizer_from_official
from poseglot.models.fuse import fuse
from poseglot.models.recognizer import Recognizer
from poseglot.skeletons.layout import load_layout

HEADS = ("head", "hand", "foot", "hip")  # the order of the public heads
LEVELS = ("global", *HEADS)
TEXT_WIDTH = 512  # CLIP's
WAYS = ("plain", "torch", "ours", "compiled", "onnxruntime")
SEED = 0


@dataclass(frozen=True)
class Shape:
    """Clips of a data set: layout, people, frames, classes."""

    layout: str
    people: int
    frames: int
    classes: int


SHAPES = {"nw-ucla": Shape("kinect20", 1, 52, 10), "ntu": Shape("ntu25", 2, 64, 120)}


@dataclass(frozen=True)
class Way:
    """One way, set up: what is timed, and what it computes (by name), which is compared before."""

    step: Callable[[], Any]
    answer: Callable[[], dict[str, Tensor]]


def build(
    way: str,
    shape: Shape,
    mode: str,
    batch: int,
    *,
    width: int,
    device: str,
    exports: Path,
    dtype: torch.dtype = torch.float32,
) -> Way:
    """A way that trains on, or answers, the same batch every time.

    Args:
        way, mode: of `WAYS`; `train` or `infer`.
        width: of the network.
        exports: a folder for exported files, and where they are found again.

    Raises:
        PoseglotError: it cannot be had here; why.
    """
    plain, ours = networks(shape, width, heads=mode == "train")
    plain.to(device, dtype), ours.to(device, dtype)
    x, labels, texts = batch_of(shape, batch)
    x, labels, texts = x.to(device, dtype), labels.to(device), texts.to(device, dtype)
    kernels = "on" if way == "ours" else "off"
    if way == "ours" and device == "cpu" and (reason := native.unavailable_reason(x.dtype)):
        raise PoseglotError(reason)
    if way == "compiled":
        ours.encoder.compile()
    if mode == "infer":
        plain.eval(), ours.eval()
        answer: Callable[[Tensor], Tensor]
        if way == "plain":
            answer = lambda x: plain(x)[0]  # noqa: E731
        elif way == "ours":
            answer = fuse(ours)
        elif way == "onnxruntime":
            answer = exported(ours, exports / f"{shape.layout}.onnx", device)
        else:
            answer = lambda x: ours(x)["logits"]  # noqa: E731
        step = partial(_answer, answer, x, kernels)
        return Way(step, lambda: {"logits": step().cpu()})
    plain.train(), ours.train()
    loss = partial(_plain_loss, plain) if way == "plain" else partial(_our_loss, ours)
    loss = partial(_gradients, loss, plain if way == "plain" else ours, x, labels, texts, kernels)
    optimizer = torch.optim.SGD(
        (plain if way == "plain" else ours).parameters(),
        lr=1e-6,
        momentum=0.9,
        nesterov=True,
        weight_decay=4e-4,
        fused=True if device.startswith("cuda") else None,  # as in training
    )
    return Way(partial(_train, loss, optimizer), partial(_named, loss, plain if way == "plain" else ours, shape))


def exported(recognizer: Recognizer, path: Path, device: str) -> Callable[[Tensor], Tensor]:
    """What `poseglot export` makes of it, in ONNX Runtime; written if it is not there yet.

    Raises:
        PoseglotError: no such module, package or device.
    """
    if device != "cpu":
        raise PoseglotError("it is measured on a CPU only.")
    from poseglot.inference.export import ExportedRecognizer, export_onnx

    if not path.exists():
        export_onnx(recognizer, path)
    return ExportedRecognizer(path)


def _answer(answer: Callable[[Tensor], Tensor], x: Tensor, kernels: str) -> Tensor:
    with torch.inference_mode(), switched(kernels):
        return answer(x)


def _gradients(
    loss_of: Callable[..., Tensor], module: nn.Module, x: Tensor, labels: Tensor, texts: Tensor, kernels: str
) -> Tensor:
    """The loss; the gradients are left in the module."""
    with switched(kernels):
        module.zero_grad()
        loss = loss_of(x, labels, texts)
        loss.backward()
    return loss.detach()


def _train(gradients: Callable[[], Tensor], optimizer: torch.optim.Optimizer) -> None:
    gradients()
    optimizer.step()


def _named(gradients: Callable[[], Tensor], module: nn.Module, shape: Shape) -> dict[str, Tensor]:
    """Loss and gradients, by our parameters' names: gradients have the places of weights, and are turned into ours like a state."""
    loss = gradients()
    if isinstance(module, PlainGAP):
        state = {name: torch.zeros_like(tensor) for name, tensor in module.state_dict().items()}
        state |= {name: parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None}
        found = dict(recognizer_from_official(state, layout=shape.layout, people=shape.people).named_parameters())
    else:
        found = {name: parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None}
    return {"loss": loss.cpu(), **{f"the gradient of {name}": tensor.detach().cpu() for name, tensor in found.items()}}


def _plain_loss(network: PlainGAP, x: Tensor, labels: Tensor, texts: Tensor) -> Tensor:
    return plain_loss(network(x), labels, list(texts), weight=0.8, scale=10.0)


def _our_loss(recognizer: Recognizer, x: Tensor, labels: Tensor, texts: Tensor) -> Tensor:
    output = recognizer(x)
    aligned = [
        alignment_loss(output["alignment"][level], text, labels, scale=10.0) for level, text in zip(LEVELS, texts, strict=True)
    ]
    return F.cross_entropy(output["logits"], labels) + 0.8 * torch.stack(aligned).mean()


@contextmanager
def switched(kernels: str) -> Iterator[None]:
    before = os.environ.get("POSEGLOT_KERNELS")
    os.environ["POSEGLOT_KERNELS"] = kernels
    try:
        yield
    finally:
        os.environ.pop("POSEGLOT_KERNELS") if before is None else os.environ.update(POSEGLOT_KERNELS=before)


def networks(shape: Shape, width: int, *, heads: bool) -> tuple[PlainGAP, Recognizer]:
    """The plain network and ours with its weights, with heads or (at test time) without."""
    state = {name: tensor for name, tensor in weights(shape, width).items() if heads or not name.startswith(_HEADS)}
    plain = _plain(shape, width, heads=heads)
    plain.load_state_dict(state)
    return plain, recognizer_from_official(state, layout=shape.layout, people=shape.people)


_HEADS = ("linear_head.", "part_list.")  # as they are called in the plain network


def _plain(shape: Shape, width: int, *, heads: bool) -> PlainGAP:
    parts = [OFFICIAL_PARTS[shape.layout]["joint"][name] for name in HEADS]
    return PlainGAP(
        load_layout(shape.layout),
        people=shape.people,
        classes=shape.classes,
        width=width,
        embed_dim=TEXT_WIDTH if heads else 0,
        parts=parts if heads else (),
    )


@cache
def weights(shape: Shape, width: int) -> dict[str, Tensor]:
    """Of the plain network, as after some training: a fresh one refines no topology, and all but skips its graph convolutions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        plain = _plain(shape, width, heads=True)
        for name, parameter in plain.named_parameters():
            with torch.no_grad():
                if parameter.ndim == 1:  # alpha, biases, BatchNorms
                    parameter.normal_(0.5 if name.endswith("alpha") else float(name.endswith("weight")), 0.2)
        norms = [module for module in plain.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        for norm in norms:
            norm.momentum = 1.0
        with torch.no_grad():
            plain.train()(batch_of(shape, 4)[0])
    return plain.state_dict()


def batch_of(shape: Shape, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random clips (N, M, T, V, C), labels, and text features (levels, N, width)."""
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(batch, shape.people, shape.frames, len(load_layout(shape.layout)), 3, generator=generator) * 2 - 1
    labels = torch.randint(shape.classes, (batch,), generator=generator)
    return x, labels, torch.randn(len(LEVELS), batch, TEXT_WIDTH, generator=generator)


@cache
def flops_of_a_clip(shape: Shape, mode: str, width: int, device: str = "meta") -> list[float]:
    """Operations of products and convolutions as torch counts them (a multiply-add is two), of the plain way and of ours by torch.

    Nothing is computed: torch counts by shapes.
    """
    x, labels, texts = (each.to(device) for each in batch_of(shape, 2))
    found = []
    for module, loss in zip(networks(shape, width, heads=mode == "train"), (_plain_loss, _our_loss), strict=True):
        module.to(device).train(mode == "train").requires_grad_(mode == "train")
        with switched("off"), torch.set_grad_enabled(mode == "train"), FlopCounterMode(display=False) as counter:
            if mode == "train":
                loss(module, x, labels, texts).backward()  # type: ignore[operator]
            else:
                module(x)
        found.append(counter.get_total_flops() / 2)
    return found
