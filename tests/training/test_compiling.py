"""The skeleton encoder compiled: the same training as uncompiled, the same files, and what is said when the compiler fails."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from poseglot.errors import DeviceError, SettingError
from poseglot.kernels import SWITCH
from poseglot.models.tensor_file import read_tensors
from poseglot.training.build import build
from poseglot.training.compiling import compile_in_place, wanted
from poseglot.training.engine import Runtime, Trainer, train
from poseglot.training.recipe import Recipe
from poseglot.training.run_folder import RunFolder
from tests.training.helpers import four_blocks, inputs, small_recipe
from tests.training.test_engine import Interrupt

COMPILED, PLAIN = Runtime("cpu", compile="on"), Runtime("cpu", compile="off")


@pytest.fixture
def recipe(few_clips: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """One that uses no kernels of ours, which come to the same but for rounding; and four blocks, as compiling takes its time."""
    four_blocks(monkeypatch)
    monkeypatch.setenv(SWITCH, "off")
    recipe = small_recipe(few_clips, tiny_bert)
    return replace(
        recipe, text=replace(recipe.text, freeze=True), optim=replace(recipe.optim, epochs=2, milestones=[1], drop_last=True)
    )


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A backend that runs the compiler's graphs as they are (quick to make), and keeps what it was given."""
    from torch._dynamo.backends.debugging import aot_eager

    graphs: list[Any] = []

    def keeping(graph: Any, inputs: Any, **options: Any) -> Any:
        graphs.append(graph)
        return aot_eager(graph, inputs, **options)

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=keeping))
    return graphs


def one_step(recipe: Recipe, compiled: bool) -> tuple[dict[str, Tensor], Tensor]:
    """(state after two steps in double precision, the losses)."""
    training = Trainer(
        Fabric(accelerator="cpu", devices=1, precision="64-true"),
        recipe,
        build(recipe),
        RunFolder(Path("unused")),
        compiled=compiled,
    )
    training.wrapped.train()
    losses = torch.stack([training.step(torch.arange(8) + 8 * step, 0)["loss"].detach() for step in range(2)])
    return training.task.state_dict(), losses


def test_compiled_equals_plain_in_one_graph(recipe: Recipe, backend: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "on")  # the kernels of a CPU notice the compiler and leave it the plain operations
    (state, losses), (wanted_state, wanted_losses) = one_step(recipe, True), one_step(recipe, False)
    torch.testing.assert_close(losses, wanted_losses, rtol=1e-9, atol=1e-10)
    assert state.keys() == wanted_state.keys()
    for name, tensor in wanted_state.items():
        torch.testing.assert_close(state[name], tensor, rtol=1e-6, atol=1e-8, msg=lambda text, name=name: f"{name}: {text}")
    assert len(backend) == 1
    assert any("conv2d" in str(node.target) for node in backend[0].graph.nodes)


@pytest.mark.slow
def test_compiled_for_real_equals_plain(recipe: Recipe) -> None:
    """By the compiler that a GPU would use; two blocks, for it takes its time."""
    torch._dynamo.reset()
    built = build(recipe)
    plain, compiled = (built.task.recognizer.encoder.double().train(), build(recipe).task.recognizer.encoder.double().train())
    for encoder in (plain, compiled):
        del encoder.blocks[2:]  # type: ignore[union-attr]
    names = list(compiled.state_dict())
    compile_in_place(compiled)
    assert list(compiled.state_dict()) == names
    view = inputs(built.train, torch.arange(4), epoch=None).double()
    found, expected = compiled(view), plain(view)
    torch.testing.assert_close(found, expected)
    found.square().mean().backward()
    expected.square().mean().backward()
    for (name, one), other in zip(compiled.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-9, rtol=1e-6, msg=lambda text, name=name: f"{name}: {text}")
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], tensor)


def test_a_compiled_run_is_resumed_uncompiled(recipe: Recipe, backend: list[Any], tmp_path: Path) -> None:
    run, plain = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "plain")
    train(recipe, plain.folder, runtime=PLAIN)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, run.folder, runtime=COMPILED, callbacks=[Interrupt(checkpoint=True)])
    assert len(backend) == 1  # and none for the test set
    assert json.loads(run.machine.read_text())["compiled"] is True
    train(recipe, run.folder, resume=True, runtime=PLAIN)
    assert len(backend) == 1
    assert json.loads(run.machine.read_text())["compiled"] is False
    (_, found), (_, expected) = read_tensors(run.checkpoint), read_tensors(plain.checkpoint)
    assert found.keys() == expected.keys()
    losses = [[entry["loss"] for entry in each.read_log()] for each in (run, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_compiler_that_fails_is_named_with_the_way_out(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(graph: Any, inputs: Any, **options: Any) -> Any:
        raise RuntimeError("no compiler in these parts")

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=failing))
    with pytest.raises(DeviceError, match=r"no compiler in these parts.*--compile off"):
        train(recipe, tmp_path / "run", runtime=COMPILED)


def test_compiling_is_for_gpus_unless_asked_for(recipe: Recipe, tmp_path: Path) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert [wanted(choice, cpu) for choice in ("auto", "on", "off")] == [False, True, False]
    assert [wanted(choice, gpu) for choice in ("auto", "on", "off")] == [True, True, False]
    with pytest.raises(SettingError, match="'yes'"):
        train(recipe, tmp_path / "run", runtime=Runtime("cpu", compile="yes"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("way", [{"foreach": True}, {"fused": True}])
def test_every_way_of_sgd_takes_the_same_steps(recipe: Recipe, way: dict[str, bool]) -> None:
    """What a GPU takes (all parameters in one kernel) against the plain loop, with the rates and decays of all groups."""

    def after(**ways: bool) -> list[Tensor]:
        task = build(recipe).task.double()
        groups = task.parameter_groups(lr=0.1, text_lr_scale=0.5)
        optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True, weight_decay=4e-4, **ways)
        generator = torch.Generator().manual_seed(0)
        for _ in range(3):
            for parameter in task.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            optimizer.step()
        return [parameter.detach() for parameter in task.parameters()]

    for found, expected in zip(after(**way), after(foreach=False, fused=False), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
