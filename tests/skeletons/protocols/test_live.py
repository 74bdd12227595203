"""The protocol `live` against slow plain code, and placing frame by frame against placing whole clips, of every protocol."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from poseglot.skeletons.layout import Layout, load_layout
from poseglot.skeletons.protocols import PIPELINES, Protocol, RawClips
from poseglot.skeletons.protocols.live import Live
from poseglot.skeletons.protocols.nw_ucla import NWUCLA
from poseglot.skeletons.transforms import Augmentation, make_input

LAYOUT = load_layout("kinect20")


def a_clip(people: int, frames: int, axes: int = 3, *, has_scores: bool = False, seed: int = 0) -> npt.NDArray[np.float32]:
    """Joints about a body that walks away; some frames without anybody, some joints missing."""
    rng = np.random.default_rng(seed)
    joints = (
        rng.normal(size=(people, frames, 20, axes))
        + np.linspace(0, 5, frames)[:, None, None]
        + 3 * np.arange(people)[:, None, None, None]
    )
    seen = rng.uniform(size=(people, frames, 20)) > 0.1
    seen[:, 3] = False
    seen[-1, :2] = False
    seen[0, frames // 2 :] &= people == 1
    joints[~seen] = 0
    if has_scores:
        joints = np.concatenate([joints, np.where(seen, rng.uniform(0.1, 1, size=seen.shape), 0)[..., None]], axis=-1)
    return joints.astype(np.float32)


def plain(clip: npt.NDArray[np.float32], memory: int, *, has_scores: bool) -> npt.NDArray[np.float64]:
    """One frame, one person, one bone after the other."""
    axes = clip.shape[-1] - has_scores
    placed = np.zeros((*clip.shape[:3], axes))
    count, origin, unit = 0, np.zeros(axes), 0.0
    for t in range(clip.shape[1]):
        where, sizes = [], []
        for person in clip[:, t].astype(np.float64):
            seen = [joint[-1] != 0 if has_scores else bool(joint.any()) for joint in person]
            bones = [
                np.linalg.norm(person[v, :axes] - person[u, :axes])
                for v, u in enumerate(LAYOUT.parents)
                if u != v and seen[u] and seen[v]
            ]
            if bones and (seen[LAYOUT.centre_index] or not has_scores):
                where.append(person[LAYOUT.centre_index, :axes])
                sizes.append(np.mean(bones))
        if where:
            count += 1
            share = 1 / min(count, memory)
            origin = (1 - share) * origin + share * np.mean(where, axis=0)
            unit = (1 - share) * unit + share * np.mean(sizes)
        for m in range(len(clip)):
            for v, joint in enumerate(clip[m, t]):
                if (joint[-1] != 0 if has_scores else joint.any()) and unit > 0:
                    placed[m, t, v] = (joint[:axes] - origin) / unit
    return placed


@pytest.mark.parametrize("has_scores", [False, True])
@pytest.mark.parametrize(("people", "axes", "memory"), [(1, 3, 64), (2, 3, 6), (1, 2, 6)])
def test_people_are_placed_by_what_has_been_seen(people: int, axes: int, memory: int, has_scores: bool) -> None:
    clip = a_clip(people, 20, axes, has_scores=has_scores)
    pipeline = Live("live", layout=None, frames=52, memory=memory)
    placed = pipeline.placed(raw(clip, has_scores=has_scores))
    np.testing.assert_allclose(placed[0].numpy(), plain(clip, memory, has_scores=has_scores), rtol=1e-4, atol=1e-5)


def test_a_view_is_the_placed_clip_with_frames_drawn_as_nw_ucla_draws_them() -> None:
    """Of 8 frames, so few that no crop is shorter than the clip."""
    clip = a_clip(1, 8)
    placed = torch.from_numpy(plain(clip, 64, has_scores=False)).float()
    for augmentation in (None, Augmentation(3, 2, batch=8)):
        given: dict[str, Any] = {
            "modality": "joint",
            "layout": LAYOUT,
            "augmentation": augmentation,
            "index": torch.tensor([5]),
        }
        frames, people = torch.tensor([8]), torch.tensor([1])
        view = make_input(torch.from_numpy(clip)[None], frames, people, pipeline=PIPELINES["live"], **given)
        # NW-UCLA's, its box left out.
        bare = _NoBox("bare", layout=None, frames=view.shape[2])
        assert augmentation is not None or view.shape[2] == 52
        wanted = make_input(placed[None], frames, people, pipeline=bare, **given)
        torch.testing.assert_close(view, wanted, rtol=1e-4, atol=1e-4)


def test_a_batch_has_a_length_of_its_own_wherever_it_is_divided() -> None:
    clips = [torch.from_numpy(a_clip(1, 30, seed=seed)) for seed in range(4)]

    def view(which: list[int], batch: int) -> Tensor:
        return make_input(
            torch.stack([clips[place] for place in which]),
            torch.full((len(which),), 30),
            torch.ones(len(which), dtype=torch.int64),
            pipeline=PIPELINES["live"],
            modality="joint",
            layout=LAYOUT,
            index=torch.tensor(which) + batch,
            augmentation=Augmentation(1, 0, batch=batch),
        )

    lengths = [view([0, 1], batch).shape[2] for batch in range(40)]
    assert set(lengths) == {12, 16, 20, 24, 32, 40, 48, 64}
    for batch in (3, 12):
        torch.testing.assert_close(torch.cat([view([0, 1], batch), view([2, 3], batch)]), view([0, 1, 2, 3], batch))


def test_a_crop_is_about_as_long_as_the_view() -> None:
    """0.75 to 1.5 times as long; not less than 0.6 of the clip, and never more than it has."""
    pipeline = PIPELINES["live"]
    assert isinstance(pipeline, Live)
    index = torch.arange(500)
    for length in (300, 80, 30):
        for batch in range(8):
            chosen = pipeline.drawn(torch.full((500,), length), Augmentation(1, 2, batch=batch), index)
            count, first, last = chosen.shape[1], chosen[:, 0], chosen[:, -1]
            assert (chosen.diff(dim=1) >= 0).all() and first.min() >= 0 and last.max() < length
            least = min(length, max(0.6 * length, 0.75 * count))
            most = min(length, max(0.6 * length + 1, 1.5 * count))
            spans = (last - first + 1).double()
            assert spans.max() <= most and spans.mean() > 0.8 * least  # few draws do not reach both ends
            if most < length:
                assert first.min() < 0.05 * length and last.max() > 0.95 * length, "anywhere in the clip"


class _NoBox(NWUCLA):
    def placed(self, clips: RawClips) -> Tensor:
        return clips.joints

    def sized(self, joints: Tensor, clips: RawClips) -> Tensor:
        return joints


def raw(clip: npt.NDArray[np.float32], *, has_scores: bool = False, layout: Layout = LAYOUT) -> RawClips:
    joints = torch.from_numpy(clip)[None]
    return RawClips(joints, torch.tensor([joints.shape[2]]), torch.tensor([joints.shape[1]]), layout, has_scores)


def whole(pipeline: Protocol, clips: RawClips) -> Tensor:
    """A whole clip placed, no frame left out."""
    if isinstance(pipeline, NWUCLA):
        joints = pipeline.sized(pipeline.placed(clips), clips)
        return torch.cat([joints, clips.joints[..., clips.axes :]], dim=-1)
    return pipeline.placed(clips.joints, clips)  # type: ignore[attr-defined, no-any-return]


def one_by_one(pipeline: Protocol, clips: RawClips) -> Tensor:
    place, frames = None, []
    for frame in clips.joints.split(1, dim=2):
        one = RawClips(frame, torch.ones(len(frame), dtype=torch.int64), clips.people, clips.layout, clips.has_scores)
        placed, place = pipeline.place_next(one, place)
        frames.append(placed)
    return torch.cat(frames, dim=2)


@pytest.mark.parametrize("has_scores", [False, True])
@pytest.mark.parametrize("people", [1, 2])
@pytest.mark.parametrize("name", PIPELINES)
def test_one_frame_after_the_other(name: str, people: int, has_scores: bool) -> None:
    """A causal protocol places frames as clips; the others, by the box so far, the last frame of a clip at least."""
    pipeline, clips = PIPELINES[name], raw(a_clip(people, 20, has_scores=has_scores), has_scores=has_scores)
    placed, wanted = one_by_one(pipeline, clips), whole(pipeline, clips)
    assert placed.shape == wanted.shape
    torch.testing.assert_close(placed[:, :, -1], wanted[:, :, -1])
    assert torch.allclose(placed, wanted, atol=1e-6) == pipeline.causal
