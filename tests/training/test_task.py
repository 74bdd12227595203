"""The task: each distinct text encoded once equals every text encoded; frozen texts; the loss put together; the official switches."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.errors import PoseglotError, SettingError
from poseglot.losses import alignment_loss, soft_alignment_loss
from poseglot.models.text.encoder import Tokens
from poseglot.training.build import Built, build
from poseglot.training.gap import GAP, LearnedWeight, TextFeatures, _alike, balance
from poseglot.training.mixing import mixup
from poseglot.training.recipe import LossRecipe, ModelRecipe, Recipe
from tests.training.helpers import inputs, small_recipe


@pytest.fixture
def recipe(store_path: Path, tiny_bert: Path) -> Recipe:
    return small_recipe(store_path, tiny_bert)


def one_batch(built: Built) -> tuple[Tensor, Tensor, Tensor]:
    index = torch.arange(0, 96, 3)
    labels = built.train.labels[index]
    assert built.prompts is not None
    places = built.prompts.draw(labels, seed=0, epoch=0, index=index)
    return inputs(built.train, index), labels, places


def plain_losses(built: Built, view: Tensor, labels: Tensor, places: Tensor, weight: float) -> Tensor:
    """Every text of the batch tokenised and encoded on its own, B x K of them."""
    task, prompts = built.task, built.prompts
    assert prompts is not None
    assert task.bank is not None
    assert task.bank.encoder is not None
    output = task.recognizer(view)
    losses = []
    for level, row in zip(prompts.levels, places, strict=True):
        texts = [prompts.texts[int(place)] for place in row]
        features = torch.cat([task.bank.encoder(task.bank.encoder.tokenize([text])) for text in texts])
        losses.append(alignment_loss(output["alignment"][level], features, labels, scale=10.0))
    return F.cross_entropy(output["logits"], labels) + weight * sum(losses) / len(losses)


def test_distinct_texts_once_gives_the_loss_and_gradients_of_every_text(recipe: Recipe) -> None:
    built = build(recipe)
    built.task.double().train()
    view, labels, places = one_batch(built)
    view = view.double()
    assert len(places.unique()) < places.numel() / 2  # so that there is something to save
    names, parameters = zip(*built.task.named_parameters(), strict=True)
    wanted = plain_losses(built, view, labels, places, weight=0.8)
    wanted_gradients = torch.autograd.grad(wanted, parameters)
    loss = built.task(view, labels, places)["loss"]
    gradients = torch.autograd.grad(loss, parameters)
    torch.testing.assert_close(loss, wanted)
    for name, ours, theirs in zip(names, gradients, wanted_gradients, strict=True):
        torch.testing.assert_close(ours, theirs, msg=lambda text, name=name: f"{name}: {text}")


class Counting(nn.Module):
    """A text encoder that counts what it encodes."""

    embed_dim = 3

    def __init__(self) -> None:
        super().__init__()
        self.encoded = 0
        self.weight = nn.Parameter(torch.randn(50, 3))

    def tokenize(self, texts: list[str]) -> Tokens:
        return Tokens(torch.arange(len(texts))[:, None], torch.ones(len(texts), 1, dtype=torch.int64))

    def forward(self, tokens: Tokens) -> Tensor:
        self.encoded += len(tokens)
        return self.weight[tokens.ids[:, 0]]


def test_a_step_encodes_each_distinct_text_once() -> None:
    encoder = Counting()
    bank = TextFeatures(tuple("abcdefgh"), encoder, frozen=False)  # type: ignore[arg-type]
    places = torch.tensor([[5, 2, 5, 5], [0, 2, 0, 0]])
    torch.testing.assert_close(bank(places), encoder.weight[places])
    assert encoder.encoded == 3


def test_frozen_texts_are_encoded_once_per_run_and_train_nothing() -> None:
    encoder = Counting()
    bank = TextFeatures(tuple("abcdefgh"), encoder, frozen=True)  # type: ignore[arg-type]
    assert encoder.encoded == 8
    for _ in range(3):
        torch.testing.assert_close(bank(torch.tensor([[7, 1]])), encoder.weight[torch.tensor([[7, 1]])])
    assert encoder.encoded == 8
    assert list(bank.parameters()) == []


def test_frozen_and_tuned_agree_before_the_first_step(recipe: Recipe) -> None:
    tuned, frozen = build(recipe), build(replace(recipe, text=replace(recipe.text, freeze=True)))
    batch = one_batch(tuned)
    torch.testing.assert_close(tuned.task.train()(*batch)["loss"], frozen.task.train()(*batch)["loss"])


def test_without_text_the_loss_is_cross_entropy(recipe: Recipe) -> None:
    built = build(replace(recipe, text=replace(recipe.text, prompt="none")))
    assert built.prompts is None
    index = torch.arange(12)
    view, labels = inputs(built.train, index, epoch=None), built.train.labels[index]
    losses = built.task.eval()(view, labels, None)
    torch.testing.assert_close(losses["loss"], F.cross_entropy(built.task.recognizer(view)["logits"], labels))
    assert built.task.recognizer(view)["alignment"] == {}


def test_the_text_encoder_learns_at_its_own_rate(recipe: Recipe) -> None:
    task = build(recipe).task
    skeleton, text = task.parameter_groups(lr=0.1, text_lr_scale=0.5)
    assert (skeleton["lr"], text["lr"]) == (0.1, 0.05)
    assert task.bank is not None
    assert {id(p) for p in text["params"]} == {id(p) for p in task.bank.parameters()}
    assert len(skeleton["params"]) + len(text["params"]) == len(list(task.parameters()))


def test_a_learned_scale_is_one_number_per_level_used_as_it_is(recipe: Recipe) -> None:
    built = build(
        replace(recipe, loss=LossRecipe(logit_scale=2.659, learn_logit_scale=True, target="soft10", alignment_weight=1.0))
    )
    task = built.task
    assert isinstance(task.scale, nn.Parameter)
    assert task.scale.tolist() == pytest.approx([2.659] * 5)
    view, labels, places = one_batch(built)
    losses = task(view, labels, places)
    losses["loss"].backward()
    assert task.scale.grad is not None
    assert bool((task.scale.grad != 0).all())
    assert losses["loss"].item() == pytest.approx(float(losses["classification"]) + float(losses["alignment"]), rel=1e-5)


def test_weights_follow_from_the_seed_alone(recipe: Recipe) -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    one, same, other = build(recipe), build(recipe), build(replace(recipe, seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    name = "encoder.blocks.3.graph.value.weight"
    weights = [built.task.recognizer.state_dict()[name] for built in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_official_switches_reach_the_recognizer(recipe: Recipe) -> None:
    official = replace(
        recipe,
        data=replace(recipe.data, modality="bone"),
        model=ModelRecipe(base_channels=8, official_input_transform=True),
        text=replace(recipe.text, official_parts=True, official_format=True),
    )
    built = build(official)
    spec = built.task.recognizer.spec
    assert spec.modality == built.train.transform.keywords["modality"] == "joint"  # type: ignore[union-attr]
    assert spec.input_transform is not None
    assert np.allclose(np.array(spec.input_transform)[0], np.eye(20)[0] - np.eye(20)[12] - np.eye(20)[16])
    assert spec.levels is not None
    assert spec.levels["hip"] == (0, 1, 11, 15)
    assert built.prompts is not None
    hand = built.prompts.levels.index("hand")
    text = built.prompts.texts[int(built.prompts.candidates[hand, 0, 0])]
    assert text.startswith("nod head ")


WHOLE_BODY = ("label", "synonym", "paragraph", "manual", "states", "learned")


@pytest.mark.parametrize("prompt", [*WHOLE_BODY, "parts", "synonym+parts"])
@pytest.mark.parametrize("freeze", [False, True])
def test_every_prompt_takes_a_step_with_the_text_encoder_tuned_or_frozen(recipe: Recipe, prompt: str, freeze: bool) -> None:
    partition = "global" if prompt in WHOLE_BODY else "two"
    words = replace(recipe.text, prompt=prompt, partition=partition, freeze=freeze, states=3, context_length=4)
    built = build(replace(recipe, text=words))
    levels = {"parts": ("global", "upper", "lower"), "synonym+parts": ("global", "upper", "lower")}.get(prompt, ("global",))
    assert built.task.levels == levels
    view, labels, places = one_batch(built)
    losses = built.task.train()(view, labels, places)
    losses["loss"].backward()
    assert float(losses["alignment"]) > 0
    silent = [name for name, parameter in built.task.named_parameters() if parameter.requires_grad and parameter.grad is None]
    assert silent == []
    learned = {name for name, parameter in built.task.named_parameters() if parameter.requires_grad and name.startswith("bank")}
    assert any("vectors" in name for name in learned) == (prompt == "learned")
    assert any("model" in name for name in learned) == (not freeze)


def test_states_are_those_nearest_to_the_label_in_the_text_encoders_space(recipe: Recipe) -> None:
    words = replace(recipe.text, prompt="states", partition="global", encoder="minilm", freeze=True, states=3)
    prompts = build(replace(recipe, text=words)).prompts
    assert prompts is not None
    by_label = dict(text.split(": ") for text in prompts.texts)
    assert "foot kick" in by_label["kick forward"].split(", ")
    assert "hip bend" in by_label["squat"].split(", ")
    assert all(len(states.split(", ")) == 3 for states in by_label.values())


@pytest.mark.parametrize("partition", ["global", "two", "four", "six"])
def test_part_classes_are_the_mean_of_a_classifier_on_every_pooled_part(recipe: Recipe, partition: str) -> None:
    built = build(replace(recipe, text=replace(recipe.text, prompt="part-classes", partition=partition, encoder="nobody")))
    assert built.prompts is None
    assert built.task.bank is None
    index = torch.arange(24)
    view, labels = inputs(built.train, index, epoch=None), built.train.labels[index]
    task = built.task.eval()
    losses = task(view, labels, None)
    joints = task.recognizer.encoder(view).mean(dim=(1, 2))
    own = []
    for level, members in (task.recognizer.spec.levels or {}).items():
        head = task.recognizer.heads[f"{level}_head"]
        own.append(F.cross_entropy(head(torch.stack([joints[:, place] for place in members]).mean(dim=0)), labels))
    assert len(own) == {"global": 1, "two": 2, "four": 4, "six": 6}[partition]
    torch.testing.assert_close(losses["alignment"], sum(own) / len(own))  # type: ignore[call-overload]
    wanted = losses["classification"] + 0.8 * losses["alignment"]
    torch.testing.assert_close(losses["loss"], wanted)


def test_a_learned_weight_starts_where_it_is_told_and_rests_at_its_share() -> None:
    weight = LearnedWeight(0.8).double()
    assert float(weight.log.detach().exp()) == pytest.approx(0.8)
    assert float(weight(torch.tensor(1.5)).detach()) == pytest.approx(0.8 * 1.5 - 0.8 * math.log(0.8))
    optimizer = torch.optim.SGD(weight.parameters(), lr=0.2, momentum=0.9, nesterov=True)
    for alignment in (2.0, 0.5, 0.01):  # however well aligned: positive, and lambda * L_con = .8
        for _ in range(400):
            optimizer.zero_grad()
            weight(torch.tensor(alignment)).backward()
            optimizer.step()
        assert float(weight.log.detach().exp()) == pytest.approx(0.8 / alignment, rel=1e-3)


def test_a_learned_weight_is_learned_without_weight_decay(recipe: Recipe) -> None:
    built = build(replace(recipe, loss=LossRecipe(alignment_weight=0.5, learn_alignment_weight=True)))
    task = built.task
    *_, group = task.parameter_groups(lr=0.1, text_lr_scale=0.5)
    assert task.learned_weight is not None
    assert group["params"] == [task.learned_weight.log]
    assert (group["weight_decay"], group["lr_scale"]) == (0.0, 1.0)
    view, labels, places = one_batch(built)
    losses = task(view, labels, places)
    losses["loss"].backward()
    wanted = float(losses["classification"]) + 0.5 * float(losses["alignment"]) - 0.5 * math.log(0.5)
    assert float(losses["loss"]) == pytest.approx(wanted, rel=1e-5)
    assert task.learned_weight.log.grad is not None
    assert float(task.learned_weight.log.grad) == pytest.approx(0.5 * float(losses["alignment"]) - 0.5, rel=1e-5)
    assert task.weight == pytest.approx(0.5)


def test_an_option_of_the_encoder_reaches_it(recipe: Recipe) -> None:
    narrow = build(replace(recipe, model=ModelRecipe(encoder="ctr-gcn-single", base_channels=8, encoder_kwargs={"kernel": 3})))
    wide = build(replace(recipe, model=ModelRecipe(encoder="ctr-gcn-single", base_channels=8, encoder_kwargs={"kernel": 5})))
    counts = [sum(p.numel() for p in built.task.recognizer.encoder.parameters()) for built in (narrow, wide)]
    assert counts[1] > counts[0]
    with pytest.raises(PoseglotError, match="dilation"):
        build(replace(recipe, model=ModelRecipe(base_channels=8, encoder_kwargs={"dilation": 3})))


def test_balanced_classes_weigh_the_same_however_many_clips_they_have(recipe: Recipe) -> None:
    """Against every class's mean loss by itself: over the whole training set they all have the same share."""
    counts = torch.tensor([40, 10, 0, 50])
    weights = balance(counts)
    torch.testing.assert_close(weights * counts, torch.tensor([100 / 3, 100 / 3, 0, 100 / 3]))
    without = replace(recipe, text=replace(recipe.text, prompt="none"), loss=LossRecipe(balanced=True))
    built = build(without)
    clips = torch.arange(len(built.train.store.info.classes)) + 1
    task = GAP(built.task.recognizer, class_weights=balance(clips)).eval()
    view, labels, _ = one_batch_without_text(built)
    with torch.no_grad():
        found = task(view, labels, None)
        each = F.cross_entropy(found["logits"], labels, reduction="none")
    wanted = (each * balance(torch.arange(len(built.train.store.info.classes)) + 1)[labels]).mean()
    torch.testing.assert_close(found["classification"], wanted)
    even = build(without).task  # the synthetic set has as many clips of every class
    torch.testing.assert_close(even.class_weights, torch.ones(len(built.train.store.info.classes)))


def one_batch_without_text(built: Built) -> tuple[Tensor, Tensor, None]:
    index = torch.arange(0, 96, 3)
    return inputs(built.train, index), built.train.labels[index], None


def test_text_encoders_last_layers_learn_alone_with_the_numbers_of_the_whole(recipe: Recipe) -> None:
    whole, top = build(recipe), build(replace(recipe, text=replace(recipe.text, train_layers=1)))
    for built in (whole, top):
        built.task.double().train()
    assert top.task.bank is not None and top.task.bank.lower is not None
    top.task.bank.lower.hidden = top.task.bank.lower._read(top.task.bank.encoder, top.task.bank.tokens)[0].detach()  # type: ignore[arg-type]
    x, labels, texts = one_batch(whole)
    results = [built.task(x.double(), labels, texts)["loss"] for built in (whole, top)]
    torch.testing.assert_close(results[1], results[0])
    for loss in results:
        loss.backward()
    wanted, learned = dict(whole.task.named_parameters()), set()
    for name, parameter in top.task.named_parameters():
        if parameter.requires_grad:
            learned.add(name)
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.grad, wanted[name].grad, msg=lambda text, name=name: f"{name}: {text}")
    tuned = {name for name in learned if name.startswith("bank")}
    assert tuned and all("layer.1." in name for name in tuned)
    assert top.task.state_dict().keys() == whole.task.state_dict().keys()
    groups = top.task.parameter_groups(lr=1.0, text_lr_scale=0.1)
    assert {id(p) for p in groups[1]["params"]} == {id(dict(top.task.named_parameters())[name]) for name in tuned}


@pytest.mark.parametrize("layers", [3, 9])
def test_more_layers_than_there_are_cannot_be_trained(recipe: Recipe, layers: int) -> None:
    with pytest.raises(SettingError, match="2 layers"):
        build(replace(recipe, text=replace(recipe.text, train_layers=layers)))


def test_label_smoothing_is_of_the_classification(recipe: Recipe) -> None:
    built = build(replace(recipe, loss=LossRecipe(label_smoothing=0.1)))
    x, labels, texts = one_batch(built)
    with torch.no_grad():
        found, plain = built.task.eval()(x, labels, texts), build(recipe).task.eval()(x, labels, texts)
    logs = F.log_softmax(found["logits"], dim=1)
    target = 0.9 * F.one_hot(labels, logs.shape[1]) + 0.1 / logs.shape[1]
    torch.testing.assert_close(found["classification"], -(target * logs).sum(dim=1).mean())
    torch.testing.assert_close(found["alignment"], plain["alignment"])


def test_mixed_clips_have_both_labels_and_both_classes_texts(recipe: Recipe) -> None:
    """Row by row, as the docstring says."""
    built, mix = build(recipe), 0.7
    task = built.task.double().eval()
    x, labels, texts = one_batch(built)
    x = mixup(x.double(), mix)
    assert task.bank is not None
    with torch.no_grad():
        found = task(x, labels, texts, mix)
        output, read = task.recognizer(x), task.bank(texts)
    partner = labels.flip(0)
    logits = output["logits"]
    both = mix * F.cross_entropy(logits, labels) + (1 - mix) * F.cross_entropy(logits, partner)
    torch.testing.assert_close(found["classification"], both)
    levels = []
    for level, name in enumerate(task.levels):
        cosines = 10 * F.normalize(output["alignment"][name], dim=1) @ F.normalize(read[level], dim=1).T
        fits = torch.zeros(len(labels), len(labels), dtype=torch.float64)
        for clip in range(len(labels)):
            for text in range(len(labels)):
                fits[clip, text] = mix * (labels[text] == labels[clip]) + (1 - mix) * (labels[text] == partner[clip])
        total = torch.zeros((), dtype=torch.float64)
        for scores, wanted in ((cosines, fits), (cosines.T, fits.T)):
            for row in range(len(labels)):
                target = wanted[row] / wanted[row].sum()
                logs = F.log_softmax(scores[row], dim=0)
                total += sum(t * (t.log() - p) for t, p in zip(target, logs, strict=True) if t > 0)
        levels.append(total / len(labels) / 2)
    torch.testing.assert_close(found["alignment"], torch.stack(levels).mean())
    with torch.no_grad():  # unmixed is the plain loss
        torch.testing.assert_close(task(x, labels, texts, 1.0)["loss"], task(x, labels, texts)["loss"], rtol=0, atol=0)


def test_clips_whose_texts_say_the_same_are_positives(recipe: Recipe) -> None:
    built = build(replace(recipe, loss=LossRecipe(positives="text")))
    assert built.prompts is not None and built.task.sentences is not None
    _, labels, texts = one_batch(built)
    shared = 0
    for row in texts:
        found = built.task._positives(labels, row, 1.0)
        for one, text in enumerate(row):
            for other, theirs in enumerate(row):
                same = built.prompts.sentences[int(text)] == built.prompts.sentences[int(theirs)]
                assert bool(found[one, other]) == (same or bool(labels[one] == labels[other]))
                shared += bool(same and labels[one] != labels[other])
    assert shared > 0  # the demo set's resting parts
    assert build(recipe).task.sentences is None


def test_texts_are_positives_in_so_far_as_they_are_alike(recipe: Recipe) -> None:
    task = build(replace(recipe, loss=LossRecipe(positives="similar"))).task
    labels, texts, scale = torch.tensor([0, 0, 1]), torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 2.0]]), torch.tensor(10.0)
    wanted = [
        [1.0, 1.0, math.exp(-10)],
        [1.0, 1.0, math.exp(-2)],
        [math.exp(-10), math.exp(-2), 1.0],
    ]  # by hand: 10 (cosine - 1)
    torch.testing.assert_close(task._positives(labels, None, 1.0, _alike(texts, scale)), torch.tensor(wanted))
    # A clip whose feature is its own text's has nothing left to learn, whatever the other texts are.
    positives = task._positives(torch.arange(3), None, 1.0, _alike(texts, scale))
    assert abs(float(soft_alignment_loss(texts, texts, positives, scale=10.0))) < 1e-6
    assert float(soft_alignment_loss(texts, texts, torch.eye(3), scale=10.0)) > 0.05
    task.similar = False
    built = build(replace(recipe, loss=LossRecipe(positives="similar")))
    x, own, drawn = one_batch(built)
    assert built.task(x, own, drawn)["alignment"] != task(x, own, drawn)["alignment"]


def test_biases_and_norms_may_go_without_weight_decay(recipe: Recipe) -> None:
    task = build(recipe).task
    groups = task.parameter_groups(lr=0.1, text_lr_scale=0.5, decay_all=False)
    named = {id(parameter): name for name, parameter in task.named_parameters()}
    assert [(group["lr_scale"], group.get("weight_decay")) for group in groups] == [(1, None), (1, 0), (0.5, None), (0.5, 0)]
    assert sum(len(group["params"]) for group in groups) == len(named)
    for group in groups:
        for parameter in group["params"]:
            apart = parameter.ndim <= 1 or named[id(parameter)].endswith("bias")
            assert apart == (group.get("weight_decay") == 0), named[id(parameter)]
