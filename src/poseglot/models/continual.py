"""A recognizer that is given a clip frame by frame: the fused form, in which time has become state.

Every layer keeps what it still needs of earlier frames: a temporal module the last few that entered it, a CTR-GC the running mean that its
topologies are refined from, the final pooling a running mean of the features. A frame then costs a frame, not a window.
(Hedegaard et al., Continual Spatio-Temporal Graph Convolutional Networks, Pattern Recognition 2023, have the idea for ST-GCN and others.)

    causal encoder     after each frame: what the recognizer says of the clip that ends with it.
    any other          windows reach beyond a frame, so that features come `lag` frames late. `flush` supplies the zeros that a whole clip
                       has after its end, and gives what the recognizer says of the clip that ends here.

Both are exact, with one exception: a CTR-GCN that is not causal takes its topologies from the mean over the *whole* clip. Here they are
refined from the mean so far, once in every few frames: an approximation (`is_exact`).

A state is never changed, only succeeded by another: keeping a state is a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from poseglot.errors import SettingError
from poseglot.models.encoders.backbone import Backbone, Block
from poseglot.models.encoders.ctr_gc import RefinedGraph
from poseglot.models.encoders.ctr_gcn import CTRGCN, TOPOLOGY_INTERVAL
from poseglot.models.encoders.temporal import TemporalModule
from poseglot.models.fuse import fuse
from poseglot.models.recognizer import Recognizer


@dataclass(frozen=True, eq=False)
class RunningMean:
    """The mean of what has come; with a memory, approximately of the last so many.

    Attributes:
        count: how many have come.
        mean: of them; None before the first.
    """

    count: int = 0
    mean: Tensor | None = None

    def update(self, x: Tensor, memory: int | None) -> RunningMean:
        """Add one. While fewer than `memory` have come, all count alike; from then on the newest counts 1 / memory."""
        count = self.count + 1
        if self.mean is None:
            return RunningMean(count, x)
        return RunningMean(count, self.mean.lerp(x, 1 / (count if memory is None else min(count, memory))))


@dataclass(frozen=True, eq=False)
class BlockState:
    """What a block keeps.

    Attributes:
        entered: how many frames have come in, including zeros after the end.
        mean, topology: of a CTR-GC: the mean of its input, and the topology last refined from it.
        window: (M, C', V, span - 1) what the temporal module still needs of earlier frames.
        late: (M, C, V, lag) what left the graph unit, and what entered the block, of the frames that the temporal module has yet to answer.
    """

    entered: int = 0
    mean: RunningMean = RunningMean()
    topology: Tensor | None = None
    window: Tensor | None = None
    late: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True, eq=False)
class ContinualState:
    """Everything that a recognizer remembers of earlier frames: the state of each block, and the mean features (V, F) so far."""

    blocks: tuple[BlockState, ...]
    pooled: RunningMean = RunningMean()


class ContinualRecognizer:
    """Frames in, logits out.

    Args:
        recognizer: what to prepare; later changes to its weights are not seen.
        memory: about how many frames back topologies and answers remember; None remembers everything since the start.
        topology_interval: frames between two refinements of a topology, for an encoder that is not causal (a causal one has its own).

    Attributes:
        lag: how many frames behind the newest the features are: 0 for a causal encoder.
        rate: frames for each that leaves the encoder.
        is_exact: whether without a `memory` the answers are those for the whole clip.

    Raises:
        SettingError: the encoder is not made of this package's blocks, or memory or topology_interval are not positive.
    """

    def __init__(
        self, recognizer: Recognizer, *, memory: int | None = None, topology_interval: int = TOPOLOGY_INTERVAL
    ) -> None:
        for name, value in (("memory", memory), ("topology_interval", topology_interval)):
            if value is not None and (type(value) is not int or value < 1):
                raise SettingError(f"{name} must be a number of frames, at least 1, not {value!r}.")
        self.fused = fuse(recognizer)
        encoder = self.fused.encoder
        if not _is_known(encoder):
            raise SettingError(
                f"the encoder {recognizer.spec.encoder} cannot be run frame by frame: it is not made of this package's blocks. Windows "
                "of a recording can be recognized by any encoder (`poseglot segment`)."
            )
        assert isinstance(encoder, Backbone)
        self.encoder = encoder
        self.blocks: list[_ContinualBlock] = []
        self.lag, self.rate = 0, 1
        self.memory = memory  # of what leaves the encoder, frames at its rate
        for block in encoder.blocks:
            assert isinstance(block, Block)
            self.blocks.append(_ContinualBlock(block, self.memory, topology_interval))
            self.lag += self.rate * self.blocks[-1].lag
            self.rate *= self.blocks[-1].temporal.stride
            self.memory = None if memory is None else max(1, memory // self.rate)
        _replace_convolutions(encoder)
        self.is_exact = all(block.is_exact for block in self.blocks)

    def __repr__(self) -> str:
        exact = "exact" if self.is_exact else "approximate"
        return f"ContinualRecognizer({self.fused.spec.encoder}, lag {self.lag} frames, {exact}, memory {self.memory})"

    def start(self) -> ContinualState:
        """Return the state before the first frame."""
        return ContinualState(tuple(BlockState() for _ in self.blocks))

    def step(self, state: ContinualState, frame: Tensor) -> ContinualState:
        """Return the state after one more frame (M, V, C) of the encoder's input."""
        x = self.encoder.enter(self.fused.enter(frame[None, :, None]))
        return self._through(state, [x], ends=False)

    def flush(self, state: ContinualState) -> ContinualState:
        """Return the state after the end of a clip. No frame may follow it."""
        nothing_late = self.lag == 0 or state.blocks[0].entered == 0
        return state if nothing_late else self._through(state, [], ends=True)

    def logits(self, state: ContinualState) -> Tensor | None:
        """Return logits (classes,) of what has left the encoder so far; None if nothing has."""
        if state.pooled.mean is None:
            return None
        return self.fused.classify(state.pooled.mean.mean(dim=0))

    def _through(self, state: ContinualState, frames: Sequence[Tensor], *, ends: bool) -> ContinualState:
        blocks = []
        for block, before in zip(self.blocks, state.blocks, strict=True):
            leaving: list[Tensor] = []
            after = before
            for x in [*frames, *([None] * block.lag if ends else [])]:
                after, y = block.step(after, x)
                if y is not None:
                    leaving.append(y)
            blocks.append(after)
            frames = leaving
            if not frames and not ends:
                blocks += state.blocks[len(blocks) :]
                break
        pooled = state.pooled
        for x in frames:
            pooled = pooled.update(x[..., 0].mean(dim=0).T, self.memory)
        return ContinualState(tuple(blocks), pooled)


class _ContinualBlock:
    """One block: a frame (M, C_in, V, 1) in; (M, C_out, V, 1) out, or nothing where the stride skips the frame or it is too early."""

    def __init__(self, block: Block, memory: int | None, topology_interval: int) -> None:
        self.block, self.graph, self.temporal, self.memory = block, block.graph, block.temporal, memory
        self.temporal.stop_padding_()
        self.lag = 0 if self.temporal.causal else self.temporal.span // 2
        self.interval, self.is_exact = topology_interval, True
        if isinstance(self.graph, RefinedGraph):
            self.is_exact = self.graph.topology_interval is not None
            self.interval = self.graph.topology_interval or topology_interval

    def step(self, state: BlockState, x: Tensor | None) -> tuple[BlockState, Tensor | None]:
        """Take one more frame; None is one after the end."""
        mean, topology, graph = state.mean, state.topology, None
        if x is not None and isinstance(self.graph, RefinedGraph):
            mean = mean.update(x[..., 0], self.memory)
            if state.entered % self.interval == 0:
                assert mean.mean is not None
                topology = self.graph.topology(mean.mean)
            assert topology is not None
            graph = self.graph.finish(self.graph.aggregate(self.graph.values(x), topology), x)
        elif x is not None:
            graph = self.graph(x)
        window = self._window(state.window, graph)
        late, graph, x = self._answered(state.late, graph, x)
        after = BlockState(state.entered + 1, mean, topology, window[..., 1:], late)
        frame = state.entered - self.lag  # in the middle of the window, or at the end of a causal one
        if frame < 0 or frame % self.temporal.stride:
            return after, None
        return after, self.block.finish(self.temporal.leave(window, graph), x)

    def _window(self, before: Tensor | None, graph: Tensor | None) -> Tensor:
        """Return the frames that the temporal module sees, (M, C', V, span); zeros before the start and after the end."""
        if graph is not None:
            now = self.temporal.enter(graph)
        else:
            assert before is not None
            now = torch.zeros_like(before[..., :1])
        if before is None:
            before = now.new_zeros(*now.shape[:-1], self.temporal.span - 1)
        return torch.cat([before, now], dim=-1)

    def _answered(
        self, late: tuple[Tensor, Tensor] | None, graph: Tensor | None, x: Tensor | None
    ) -> tuple[tuple[Tensor, Tensor] | None, Tensor, Tensor]:
        """Return what is still late, and what left the graph unit and entered the block at the frame that is being answered."""
        if self.lag == 0:
            assert graph is not None and x is not None
            return None, graph, x
        if late is None:
            assert graph is not None and x is not None
            late = graph.new_zeros(*graph.shape[:-1], self.lag), x.new_zeros(*x.shape[:-1], self.lag)
        now = [torch.zeros_like(old[..., :1]) if new is None else new for old, new in zip(late, (graph, x), strict=True)]
        graphs, entered = (torch.cat(pair, dim=-1) for pair in zip(late, now, strict=True))
        return (graphs[..., 1:], entered[..., 1:]), graphs[..., :1], entered[..., :1]


class _WindowConv(nn.Module):
    """A convolution over time that is given exactly one window: a matrix product, (M, C_in, V, window) -> (M, C_out, V, 1)."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        assert conv.bias is not None
        self.dilation = conv.dilation[1]
        self.weight, self.bias = conv.weight.flatten(1), conv.bias[:, None]

    def forward(self, x: Tensor) -> Tensor:
        window = x[..., 0] if x.shape[3] == 1 else x[..., :: self.dilation].transpose(2, 3).flatten(1, 2)
        return (self.weight @ window + self.bias)[..., None]


def _replace_convolutions(module: nn.Module) -> None:
    """Replace convolutions over time, which streaming gives one window at a time, by `_WindowConv`."""
    for name, part in list(module.named_children()):
        if isinstance(part, nn.Conv2d) and part.groups == 1 and part.kernel_size[0] == 1:
            setattr(module, name, _WindowConv(part))
        else:
            _replace_convolutions(part)


def _is_known(encoder: object) -> bool:
    """Tell whether an encoder is nothing but blocks that work frame by frame; a subclass may compute something else."""
    return (
        isinstance(encoder, Backbone)
        and type(encoder).forward in (Backbone.forward, CTRGCN.forward)
        and all(
            type(block) is Block
            and isinstance(block.temporal, TemporalModule)
            and (type(block.graph) is RefinedGraph or block.graph.framewise)
            for block in encoder.blocks
        )
    )
