"""A recognizer that is given a clip frame by frame: the frozen form (`frozen`), in which time has become state.

Every layer keeps what it still needs of the frames before: a temporal module the last few that entered it, a CTR-GC the running mean that
its topologies are refined from, the pooling in the end a running mean of the features. A frame then costs a frame, not a window.
(Hedegaard et al., Continual Spatio-Temporal Graph Convolutional Networks, Pattern Recognition 2023, have the idea for ST-GCN and its kin.)

    causal encoder     after each frame, what the recognizer says of the clip that ends with it.
    any other          its windows reach behind a frame, so that features come `lag` frames late; `ended` supplies the zeros that
                       a whole clip has behind its end, and gives what the recognizer says of the clip that ends here.

Both are exact, but for one thing: a CTR-GCN that is not causal takes its topologies from the mean over the *whole* clip. Here they are of
the mean so far, made anew every few frames: an approximation (`is_exact`).

A state is never changed, only followed by another: keeping one is a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from poseglot.errors import PoseglotError
from poseglot.models.encoders.ctr_gcn import REFRESH
from poseglot.models.frozen import (
    FrozenBackbone,
    FrozenBlock,
    FrozenMultiScale,
    FrozenRefinedGraph,
    FrozenSingleScale,
    freeze,
)
from poseglot.models.recognizer import Recognizer


@dataclass(frozen=True, eq=False)
class RunningMean:
    """The mean of what has come; with a `memory`, about of the last so many.

    Attributes:
        count: how many have come.
        mean: of them; None before the first.
    """

    count: int = 0
    mean: Tensor | None = None

    def followed_by(self, x: Tensor, memory: int | None) -> RunningMean:
        """One more. While fewer than `memory` have come, all count alike; from then on the newest counts 1 / memory."""
        count = self.count + 1
        if self.mean is None:
            return RunningMean(count, x)
        return RunningMean(count, self.mean.lerp(x, 1 / (count if memory is None else min(count, memory))))


@dataclass(frozen=True, eq=False)
class BlockState:
    """What a block keeps.

    Attributes:
        entered: how many frames have come in, those behind the end included.
        mean, topology: of a CTR-GC: of what came in, and what was last made of it.
        window: (M, C', V, frames) what a temporal module still needs of the frames before.
        late: (M, C, V, lag) what left the graph unit, and what entered the block, of the frames that the temporal module has yet to answer.
    """

    entered: int = 0
    mean: RunningMean = RunningMean()
    topology: Tensor | None = None
    window: Tensor | None = None
    late: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True, eq=False)
class StepwiseState:
    """Everything that a recognizer remembers of the frames before.

    Attributes:
        blocks: of each block.
        pooled: (V, F), the features so far.
    """

    blocks: tuple[BlockState, ...]
    pooled: RunningMean = RunningMean()


class StepwiseRecognizer:
    """Frames in, logits out.

    Args:
        recognizer: what to prepare; later changes to its weights are not seen.
        memory: about how many frames back topologies and answers remember; None remembers everything since the start.
        refresh: after how many frames a topology is made anew, of an encoder that is not causal (a causal one has its own).

    Attributes:
        lag: how many frames behind the newest the features are: 0 of a causal encoder.
        rate: frames for each that leaves the encoder.
        is_exact: whether without a `memory` the answers are those for the whole clip.

    Raises:
        PoseglotError: the encoder is none of ours, or memory or refresh are not positive.
    """

    def __init__(self, recognizer: Recognizer, *, memory: int | None = None, refresh: int = REFRESH) -> None:
        for name, value in (("memory", memory), ("refresh", refresh)):
            if value is not None and (type(value) is not int or value < 1):
                raise PoseglotError(f"{name} is a number of frames, at least 1, not {value!r}.")
        self.frozen = freeze(recognizer)
        encoder = self.frozen.encoder
        if not isinstance(encoder, FrozenBackbone):
            raise PoseglotError(
                f"the encoder {recognizer.spec.encoder} cannot be run frame by frame: it is not made of this package's blocks. Windows "
                "of a recording can be recognised by any (`poseglot segment`)."
            )
        self.encoder = encoder
        self.blocks: list[_Block] = []
        self.lag, self.rate = 0, 1
        self.memory = memory  # of what leaves the encoder, so many frames of its rate
        for block in encoder.blocks:
            self.blocks.append(_Block(cast("FrozenBlock", block), self.memory, refresh))
            self.lag += self.rate * self.blocks[-1].lag
            self.rate *= self.blocks[-1].stride
            self.memory = None if memory is None else max(1, memory // self.rate)
        self.is_exact = all(block.is_exact for block in self.blocks)

    def start(self) -> StepwiseState:
        """Before the first frame."""
        return StepwiseState(tuple(BlockState() for _ in self.blocks))

    def step(self, state: StepwiseState, view: Tensor) -> StepwiseState:
        """The state after one more frame (M, V, C), as the encoder wants it (a view's)."""
        x = self.encoder.enter(view[None, :, None])
        return self._through(state, [x], ends=False)

    def ended(self, state: StepwiseState) -> StepwiseState:
        """The state after the end of a clip: nothing may follow."""
        nothing_late = self.lag == 0 or state.blocks[0].entered == 0
        return state if nothing_late else self._through(state, [], ends=True)

    def logits(self, state: StepwiseState) -> Tensor | None:
        """(classes,) of what has left the encoder so far; None if nothing has."""
        if state.pooled.mean is None:
            return None
        return self.frozen.classify(state.pooled.mean.mean(dim=0))

    def _through(self, state: StepwiseState, frames: Sequence[Tensor], *, ends: bool) -> StepwiseState:
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
            pooled = pooled.followed_by(x[..., 0].mean(dim=0).T, self.memory)
        return StepwiseState(tuple(blocks), pooled)


class _Block:
    """One block: (M, C_in, V, 1) in, (M, C_out, V, 1) out or, where its stride leaves the frame out or it is too early, nothing."""

    def __init__(self, block: FrozenBlock, memory: int | None, refresh: int) -> None:
        self.block, self.memory = block, memory
        temporal = block.temporal
        assert isinstance(temporal, (FrozenMultiScale, FrozenSingleScale))
        self.temporal, self.stride = temporal, temporal.stride
        # The frames that its widest window spans.
        self.span = 9 if isinstance(temporal, FrozenMultiScale) else temporal.kernel
        self.lag = 0 if temporal.causal else self.span // 2
        self.graph = block.graph
        self.refresh, self.is_exact = refresh, True
        if isinstance(block.graph, FrozenRefinedGraph):
            self.is_exact = block.graph.refresh is not None
            self.refresh = block.graph.refresh or refresh

    def step(self, state: BlockState, x: Tensor | None) -> tuple[BlockState, Tensor | None]:
        """One more frame; None is one behind the end."""
        state, collected = self._collected(state, x)
        state, window = self._window(state, collected)
        # The frame that the middle of the window is at, or of a causal module its end.
        frame = state.entered - 1 - self.lag
        state, graph, entered = self._answered(state, collected, x)
        if frame < 0 or frame % self.stride:
            return state, None
        y = self._temporal(window, graph)
        if self.block.residual is not None:
            y = y + F.conv2d(entered, self.block.residual, self.block.residual_bias)
        elif not self.block.is_plain:
            y = y + entered
        return state, F.relu(y)

    def _collected(self, state: BlockState, x: Tensor | None) -> tuple[BlockState, Tensor | None]:
        """What leaves the graph unit."""
        number = state.entered
        state = replace(state, entered=number + 1)
        if x is None:
            return state, None
        if not isinstance(self.graph, FrozenRefinedGraph):
            return state, cast("Tensor", self.graph(x))
        state = replace(state, mean=state.mean.followed_by(x[..., 0], self.memory))
        if number % self.refresh == 0:
            assert state.mean.mean is not None
            state = replace(state, topology=self.graph.topology(state.mean.mean))
        assert state.topology is not None
        return state, self.graph.collect(x, state.topology)

    def _window(self, state: BlockState, collected: Tensor | None) -> tuple[BlockState, Tensor]:
        """The last frames that the temporal module sees, (M, C', V, span); zeros before the start and behind the end."""
        if collected is None:
            assert state.window is not None
            now = torch.zeros_like(state.window[..., :1])
        elif isinstance(self.temporal, FrozenMultiScale):
            now = torch.cat(self.temporal.enter(collected), dim=1)
        else:
            now = collected
        before = state.window
        if before is None:
            before = now.new_zeros(*now.shape[:-1], self.span - 1)
        window = torch.cat([before, now], dim=-1)
        return replace(state, window=window[..., 1:]), window

    def _answered(self, state: BlockState, collected: Tensor | None, x: Tensor | None) -> tuple[BlockState, Tensor, Tensor]:
        """What left the graph unit, and what entered the block, at the frame that is being answered."""
        if self.lag == 0:
            assert collected is not None and x is not None
            return state, collected, x
        if state.late is None:
            assert collected is not None and x is not None
            late = [each.new_zeros(*each.shape[:-1], self.lag) for each in (collected, x)]
        else:
            late = list(state.late)
        now = [torch.zeros_like(old[..., :1]) if new is None else new for old, new in zip(late, (collected, x), strict=True)]
        kept = [torch.cat(pair, dim=-1) for pair in zip(late, now, strict=True)]
        return replace(state, late=(kept[0][..., 1:], kept[1][..., 1:])), kept[0][..., :1], kept[1][..., :1]

    def _temporal(self, window: Tensor, graph: Tensor) -> Tensor:
        temporal = self.temporal
        if isinstance(temporal, FrozenSingleScale):
            return F.conv2d(window, temporal.conv, temporal.conv_bias)
        first, second, third = window.chunk(3, dim=1)
        if temporal.causal:
            return temporal.leave(first[..., 4:], second, third[..., 6:], graph, around=False)
        return temporal.leave(first[..., 2:7], second, third[..., 3:6], graph, around=False)
