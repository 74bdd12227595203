"""Two gloo processes equal one: losses, gradients and statistics, in training mode, on the CPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from poseglot.training.batches import TrainingBatches
from poseglot.training.build import build
from poseglot.training.distributed import own_share, shares, synchronise_batch_norm
from poseglot.training.recipe import LossRecipe, Recipe
from tests.training.helpers import in_two_processes, small_recipe

# Odd, so that the two shares differ in size; some share a class, in one process and across the two.
BATCH = torch.tensor([0, 1, 9, 24, 25, 26, 80])


def one_step(task: nn.Module, recipe: Recipe, wrapped: nn.Module) -> dict[str, Tensor]:
    """Gradients, losses and statistics of one batch; `wrapped` is the task, or the task in DistributedDataParallel."""
    built, data = build(recipe), recipe.data
    batches = TrainingBatches(built.train, built.prompts, seed=0, batch_size=7, mixup=data.mixup, part_swap=data.part_swap)
    batch = batches.load(BATCH, 0, torch.device("cpu"))
    losses = wrapped(batch.inputs.double(), batch.labels, batch.texts, batch.mix)
    losses["loss"].backward()
    result = {f"gradient {name}": parameter.grad for name, parameter in task.named_parameters() if parameter.grad is not None}
    result |= {f"state {name}": tensor for name, tensor in task.state_dict().items() if "running" in name}
    result |= {name: losses[name] for name in ("classification", "alignment")}
    return {name: tensor.detach().clone() for name, tensor in result.items()}


def process(rank: int, world: int, recipes: dict[str, Recipe], folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    for case, recipe in recipes.items():
        task = build(recipe).task.double().train()
        synchronise_batch_norm(task.recognizer)
        result = one_step(task, recipe, DistributedDataParallel(task))
        # Each process's classification loss is its share's; their mean is the batch's.
        dist.all_reduce(result["classification"])
        result["classification"] /= world
        torch.save(result, f"{folder}/{case}-{rank}.pt")
    dist.destroy_process_group()


def test_loss_gradients_and_statistics_of_two_processes_equal_one(store_path: Path, tiny_bert: Path, tmp_path: Path) -> None:
    recipe = small_recipe(store_path, tiny_bert)
    recipes = {
        "fixed": recipe,
        "learned": replace(recipe, loss=LossRecipe(learn_logit_scale=True, learn_alignment_weight=True)),
    }
    recipes["context"] = replace(
        recipe, text=replace(recipe.text, prompt="learned", partition="global", freeze=True, context_length=4)
    )
    recipes["today"] = replace(
        recipe,
        data=replace(recipe.data, mixup=0.5, part_swap=0.5),
        text=replace(recipe.text, train_layers=1),
        loss=LossRecipe(label_smoothing=0.1, positives="text"),
    )
    recipes["part-classes"] = replace(recipe, text=replace(recipe.text, prompt="part-classes"))
    in_two_processes(process, recipes, str(tmp_path))
    for case, recipe in recipes.items():
        task = build(recipe).task.double().train()
        wanted = one_step(task, recipe, task)
        assert any("bank" in name for name in wanted) == (case != "part-classes")
        assert ("gradient scale" in wanted) == ("gradient learned_weight.log" in wanted) == (case == "learned")
        for rank in range(2):
            found = torch.load(tmp_path / f"{case}-{rank}.pt")
            assert found.keys() == wanted.keys()
            for name, tensor in wanted.items():
                torch.testing.assert_close(
                    found[name], tensor, rtol=1e-9, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}"
                )


def test_shares_cover_everything_in_order() -> None:
    assert shares(7) == [7]
    assert own_share(7) == slice(0, 7)
