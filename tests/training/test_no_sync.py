"""A training step never waits for the device: it asks for no value that is computed there, and copies nothing there in a way that waits.

There is a GPU on few machines that test, so torch's meta device stands in for one: it computes shapes and has no values, so whoever asks
for one fails (`.item()`, `.cpu()`, a boolean mask, `nonzero`, `unique`). What a GPU would wait for and meta lets pass, a copy from the CPU
that is not `non_blocking`, an index or a number made a tensor on the way, is refused by two modes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from poseglot.models.recognizer import Recognizer
from poseglot.training.build import build
from poseglot.training.engine import Trainer
from poseglot.training.recipe import LossRecipe, ModelRecipe, Recipe
from poseglot.training.run_folder import RunFolder
from tests.training.helpers import four_blocks, small_recipe

GPU = torch.device("meta")


class WaitError(AssertionError):
    """Something in the step would wait for a GPU."""


class NoWaitingCopies(TorchDispatchMode):
    """No operation takes the CPU's tensors beside the GPU's, and copies to the GPU are `non_blocking`."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        # A tensor of no axis on the CPU is a number: it goes along with the kernel's arguments.
        near = [tensor for tensor in tensors if tensor.device.type == "cpu" and tensor.ndim > 0]
        far = any(tensor.device == GPU for tensor in tensors)
        name = function.overloadpacket.__name__
        if name == "_to_copy":
            if near and kwargs.get("device") == GPU and not kwargs.get("non_blocking"):
                raise WaitError(f"{function}: a copy that waits")
        elif near and far:
            raise WaitError(f"{function}: tensors of the CPU beside those of the GPU")
        return function(*args, **kwargs)


class NoTensorsOfNumbers(TorchFunctionMode):
    """No tensor on the GPU is made of Python's numbers, and none is indexed by a list: both are copies that wait."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        name = getattr(function, "__name__", "")
        if name in ("tensor", "as_tensor", "new_tensor", "asarray") and result.device == GPU and result is not args[0]:
            raise WaitError(f"{name}: a tensor made of numbers")
        if name in ("__getitem__", "__setitem__") and args[0].device == GPU:
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(isinstance(each, list) for each in index):
                raise WaitError(f"{name}: an index that is a list")
        return result


class FarFabric(Fabric):
    """A Fabric of one CPU that takes the stand-in for its device."""

    @property
    def device(self) -> torch.device:
        return GPU

    def _move_model_to_device(self, model: nn.Module, optimizers: Any) -> nn.Module:
        return model


def far_training(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    autocast = torch.autocast
    # The stand-in has no mixed precision to switch off.
    monkeypatch.setattr(torch, "autocast", lambda kind, **rest: nullcontext() if kind == "meta" else autocast(kind, **rest))
    built = build(recipe)
    built.task.to(GPU)
    training = Trainer(FarFabric(accelerator="cpu", devices=1), recipe, built, RunFolder(Path("unused")))
    training.wrapped.train()
    assert {parameter.device for parameter in training.task.parameters()} == {GPU}
    return training


@contextmanager
def nobody_waits() -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(NoWaitingCopies())
        stack.enter_context(NoTensorsOfNumbers())
        yield


@pytest.fixture
def recipe(store_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    four_blocks(monkeypatch)
    return small_recipe(store_path, tiny_bert)


def recipes(recipe: Recipe) -> dict[str, Recipe]:
    words = recipe.text
    return {
        "synonyms and parts": recipe,
        "frozen": replace(recipe, text=replace(words, freeze=True)),
        "minilm": replace(recipe, text=replace(words, encoder="minilm")),
        "context": replace(recipe, text=replace(words, prompt="learned", partition="global", context_length=4)),
        "part classes": replace(recipe, text=replace(words, prompt="part-classes")),
        "no words": replace(recipe, text=replace(words, prompt="none")),
        "bones": replace(recipe, data=replace(recipe.data, modality="bone_motion", pipeline="nw-ucla-scaled")),
        "official": replace(recipe, model=ModelRecipe(base_channels=8, official_input_transform=True)),
        "learned": replace(recipe, loss=LossRecipe(learn_alignment_weight=True, learn_logit_scale=True, target="soft10")),
        "another encoder": replace(recipe, model=ModelRecipe(base_channels=8, encoder="st-gcn")),
    }


CASES = [
    "synonyms and parts", "frozen", "minilm", "context", "part classes", "no words", "bones", "official", "learned", "another encoder",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_training_step_waits_for_nothing(recipe: Recipe, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    training = far_training(recipes(recipe)[case], monkeypatch)
    with nobody_waits():
        for epoch in (0, 1):  # with momentum, too
            losses = training.step(torch.arange(6), epoch)
    assert losses["loss"].device == GPU


CAUGHT = r"(?i)meta tensor|nonzero|waits|beside|made of numbers|a list"
INJECTED: dict[str, Callable[[Tensor], Any]] = {
    "item": lambda x: x.mean().item(),
    "float": lambda x: float(x.sum()),
    "truth": lambda x: bool((x == 0).all()),
    "cpu": lambda x: x.cpu(),
    "nonzero": lambda x: x.nonzero(),
    "unique": lambda x: x.unique(),
    "mask": lambda x: x[x > 0],
    "list": lambda x: x[[0, 1]],
    "numbers": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "one number": lambda x: torch.as_tensor(3, device=x.device),
    "new": lambda x: x.new_tensor([1.0]),
    "waiting copy": lambda x: torch.arange(5).to(x.device),
    "index of the CPU": lambda x: x[torch.arange(2)],
}


@pytest.fixture(scope="module")
def wordless(store_path: Path, tiny_bert: Path) -> Iterator[Trainer]:
    recipe = small_recipe(store_path, tiny_bert)
    with pytest.MonkeyPatch.context() as patch:
        four_blocks(patch)
        yield far_training(replace(recipe, text=replace(recipe.text, prompt="none")), patch)


@pytest.mark.parametrize("way", INJECTED)
def test_a_step_that_waits_is_caught(wordless: Trainer, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Recognizer.forward

    def waiting(self: Recognizer, x: Tensor) -> dict[str, Any]:
        INJECTED[way](x)
        return forward(self, x)

    monkeypatch.setattr(Recognizer, "forward", waiting)
    with nobody_waits(), pytest.raises((WaitError, RuntimeError), match=CAUGHT):
        wordless.step(torch.arange(6), 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of NVIDIA or AMD")
@pytest.mark.parametrize("case", CASES)
def test_torch_sees_no_synchronisation_on_a_gpu(recipe: Recipe, case: str) -> None:
    recipe = recipes(recipe)[case]
    training = Trainer(Fabric(accelerator="cuda", devices=1), recipe, build(recipe), RunFolder(Path("unused")))
    training.wrapped.train()
    training.step(torch.arange(6), 0)  # what is set up once may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        training.step(torch.arange(6), 1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
