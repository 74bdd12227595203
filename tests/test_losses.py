"""The alignment loss: the authors' recorded value, a slow plain reference, its gradients, and what must not change it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from poseglot.errors import InputError, SettingError
from poseglot.losses import AlignmentLoss, alignment_loss, soft_alignment_loss

pytestmark = pytest.mark.base

TARGETS = ("normalized", "soft10")


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


def softmax(values: Sequence[float]) -> list[float]:
    powers = [math.exp(value - max(values)) for value in values]
    return [power / sum(powers) for power in powers]


def wanted_row(labels: Sequence[int], row: int, target: str) -> list[float]:
    same = [float(label == labels[row]) for label in labels]
    return [value / sum(same) for value in same] if target == "normalized" else softmax([10 * value for value in same])


def plain_loss(
    skeleton: Sequence[Sequence[float]], text: Sequence[Sequence[float]], labels: Sequence[int], scale: float, target: str
) -> float:
    """Equations 4 and 5, one row after the other."""
    total = 0.0
    for ours, theirs in ((skeleton, text), (text, skeleton)):
        for row in range(len(labels)):
            said = softmax([scale * cosine(ours[row], other) for other in theirs])
            wanted = wanted_row(labels, row, target)
            total += sum(y * (math.log(y) - math.log(p)) for y, p in zip(wanted, said, strict=True) if y > 0)
    return total / len(labels) / 2


def features(seed: int, count: int = 9, width: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    skeleton, text = torch.randn(2, count, width, generator=generator, dtype=torch.float64).unbind()
    return skeleton, text, torch.randint(0, 4, (count,), generator=generator)


def test_equals_the_loss_of_the_authors_code(shared: Path) -> None:
    golden = np.load(shared / "golden" / "contrastive_loss.npz")
    skeleton, text, label, scale = (
        torch.from_numpy(golden[name]) for name in ("skeleton_feature", "text_feature", "label", "logit_scale")
    )
    loss = alignment_loss(skeleton, text, label, scale=scale, target="soft10")
    assert loss.shape == ()
    assert float(loss) == pytest.approx(float(golden["loss_official"]), rel=1e-4)
    assert float(loss) == pytest.approx(0.8138, abs=5e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_plain_reference_agrees_on_the_recorded_features(shared: Path, target: str) -> None:
    golden = np.load(shared / "golden" / "contrastive_loss.npz")
    skeleton, text = (torch.from_numpy(golden[f"{name}_feature"]).double() for name in ("skeleton", "text"))
    label = torch.from_numpy(golden["label"])
    expected = plain_loss(skeleton.tolist(), text.tolist(), label.tolist(), 10.0, target)
    assert float(alignment_loss(skeleton, text, label, scale=10.0, target=target)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seed", range(4))
def test_equals_a_plain_reference(seed: int, target: str) -> None:
    skeleton, text, labels = features(seed)
    for scale in (1.0, 2.7, 10.0):
        expected = plain_loss(skeleton.tolist(), text.tolist(), labels.tolist(), scale, target)
        loss = alignment_loss(skeleton, text, labels, scale=scale, target=target)
        assert float(loss) == pytest.approx(expected, rel=1e-10)


def test_target_is_the_papers_unless_said_otherwise() -> None:
    skeleton, text, labels = features(7)
    expected = plain_loss(skeleton.tolist(), text.tolist(), labels.tolist(), 10.0, "normalized")
    assert float(alignment_loss(skeleton, text, labels, scale=10.0)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("target", TARGETS)
def test_gradients_of_features_and_scale(target: str) -> None:
    skeleton, text, labels = features(11, count=6, width=4)
    scale = torch.tensor(3.0, dtype=torch.float64)
    inputs = tuple(tensor.requires_grad_() for tensor in (skeleton, text, scale))
    assert torch.autograd.gradcheck(
        lambda s, t, factor: alignment_loss(s, t, labels, scale=factor, target=target), inputs, raise_exception=True
    )


@pytest.mark.parametrize("target", TARGETS)
def test_invariances(target: str) -> None:
    skeleton, text, labels = features(3)

    def loss(s: Tensor, t: Tensor, of: Tensor = labels) -> float:
        return float(alignment_loss(s, t, of, scale=10.0, target=target))

    before = loss(skeleton, text)
    order = torch.tensor([4, 0, 8, 2, 6, 1, 7, 3, 5])
    lengths = torch.linspace(0.01, 40, len(labels), dtype=torch.float64)[:, None]
    assert loss(skeleton[order], text[order], labels[order]) == pytest.approx(before, rel=1e-12)
    assert loss(skeleton * lengths, text) == pytest.approx(before, rel=1e-12)
    assert loss(skeleton, text * lengths.flip(0)) == pytest.approx(before, rel=1e-12)
    assert loss(text, skeleton) == pytest.approx(before, rel=1e-12)
    assert loss(skeleton, text, labels * 7 + 2) == pytest.approx(before, rel=1e-12)
    # The pairs matter: texts given to other clips are another loss.
    assert abs(loss(skeleton, text[order]) - before) > 1e-3


def test_normalized_target_spreads_over_every_clip_of_a_class_and_reaches_zero() -> None:
    labels = torch.tensor([2, 0, 2, 1, 2, 0])
    ideal = torch.eye(3, dtype=torch.float64)[labels]
    assert float(alignment_loss(ideal, ideal, labels, scale=100.0)) == pytest.approx(0.0, abs=1e-12)
    # Each clip with a text of its own: right for one-to-one pairs, wrong where texts of a class fit all its clips.
    own = torch.eye(6, dtype=torch.float64)
    assert float(alignment_loss(own, own, torch.arange(6), scale=100.0)) == pytest.approx(0.0, abs=1e-12)
    assert float(alignment_loss(own, own, labels, scale=100.0)) > 1


def test_soft10_reaches_zero_where_cosines_are_same_class_and_the_scale_is_ten() -> None:
    labels = torch.tensor([2, 0, 2, 1, 2, 0])
    ideal = torch.eye(3, dtype=torch.float64)[labels]
    assert float(alignment_loss(ideal, ideal, labels, scale=10.0, target="soft10")) == pytest.approx(0.0, abs=1e-12)
    assert float(alignment_loss(ideal, ideal, labels, scale=100.0, target="soft10")) > 1e-3


@pytest.mark.parametrize("target", TARGETS)
def test_is_never_negative_and_descends_to_its_minimum(target: str) -> None:
    for seed in range(5):
        skeleton, text, labels = features(seed)
        assert float(alignment_loss(skeleton, text, labels, scale=5.0, target=target)) > 0
    skeleton, text, labels = features(0, count=6, width=6)
    skeleton.requires_grad_()
    text.requires_grad_()
    optimizer = torch.optim.Adam([skeleton, text], lr=0.2)
    for _ in range(150):
        optimizer.zero_grad()
        loss = alignment_loss(skeleton, text, labels, scale=10.0, target=target)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 1e-2


@pytest.mark.parametrize("target", TARGETS)
def test_one_clip_has_no_loss(target: str) -> None:
    skeleton, text, labels = features(1, count=1)
    assert float(alignment_loss(skeleton, text, labels, scale=10.0, target=target)) == 0


@pytest.mark.parametrize(
    ("skeleton", "text", "labels"),
    [((4, 3), (4, 2), (4,)), ((4, 3), (5, 3), (4,)), ((4, 3), (4, 3), (5,)), ((4, 3), (4, 3), (4, 1)), ((4,), (4,), (4,))],
)
def test_refuses_shapes_that_do_not_fit_and_shows_them(
    skeleton: tuple[int, ...], text: tuple[int, ...], labels: tuple[int, ...]
) -> None:
    with pytest.raises(InputError) as caught:
        alignment_loss(torch.ones(skeleton), torch.ones(text), torch.zeros(labels, dtype=torch.int64), scale=10.0)
    for shape in (skeleton, text, labels):
        assert str(shape) in str(caught.value)


def test_refuses_an_unknown_target_and_names_the_known_ones() -> None:
    skeleton, text, labels = features(0)
    with pytest.raises(SettingError, match="hard"):
        alignment_loss(skeleton, text, labels, scale=10.0, target="hard")


@pytest.mark.parametrize("target", TARGETS)
def test_given_positives_equal_a_plain_reference(target: str) -> None:
    """Weights between 0 and 1, not symmetric, row by row in both directions."""
    skeleton, text, _ = features(5, count=7)
    fits = torch.rand(7, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * (torch.rand(7, 7) < 0.5)
    fits += torch.eye(7, dtype=torch.float64)
    total = 0.0
    for weights, ours, theirs in ((fits, skeleton, text), (fits.T, text, skeleton)):
        for row in range(7):
            said = softmax([4.0 * cosine(ours[row].tolist(), other.tolist()) for other in theirs])
            values = weights[row].tolist()
            wanted = [value / sum(values) for value in values] if target == "normalized" else softmax([10 * v for v in values])
            total += sum(y * (math.log(y) - math.log(p)) for y, p in zip(wanted, said, strict=True) if y > 0)
    found = soft_alignment_loss(skeleton, text, fits, scale=4.0, target=target)
    assert float(found) == pytest.approx(total / 7 / 2, rel=1e-10)


def test_the_module_is_the_function_with_a_scale_that_may_learn() -> None:
    skeleton, text, labels = (tensor.float() if tensor.is_floating_point() else tensor for tensor in features(3))
    for target in TARGETS:
        fixed, learned = AlignmentLoss(scale=3.0, target=target), AlignmentLoss(scale=3.0, target=target, learn_scale=True)
        wanted = alignment_loss(skeleton, text, labels, scale=3.0, target=target)
        torch.testing.assert_close(fixed(skeleton, text, labels), wanted)
        torch.testing.assert_close(learned(skeleton, text, labels), wanted)
        assert (len(list(fixed.parameters())), len(list(learned.parameters()))) == (0, 1)
        learned(skeleton, text, labels).backward()
        assert learned.scale.grad is not None
    with pytest.raises(SettingError, match="hard"):
        AlignmentLoss(target="hard")
