"""The model card of a run: data, recipe, results with n/N, calibration, cost, limits.

Every number is read from the run or measured here.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from poseglot.data.store import open_store
from poseglot.devices import describe_device
from poseglot.errors import InputError, PoseglotError
from poseglot.evaluation.metrics import Accuracy, confusion
from poseglot.files import sha256_of
from poseglot.models.card import NOT_MEASURED, CardContent, Licence, Result, model_card
from poseglot.models.fuse import fuse
from poseglot.models.recognizer import described
from poseglot.report.statistics import worst_confusions
from poseglot.safe_text import counted_people
from poseglot.training.evaluate import Evaluation, evaluate
from poseglot.training.overlap import clips_in_training
from poseglot.training.recipe import differing
from poseglot.training.recipe_io import list_recipes, read_recipe
from poseglot.training.run import Run, as_run
from poseglot.training.subsets import subsets
from poseglot.transforms import load_pipeline

_CONFUSIONS = 5
_TIMED = 30  # runs of one clip, after as few to warm up
# Settings that differ between machines and seeds, and settings that change no weights.
_FREE = ("data.store", "seed", "checkpoint_every", "evaluate_every")
# A run whose recipe differs in more settings than these from a packaged one has a recipe of its own.
_MAX_OVERRIDES = 4


@dataclass(frozen=True)
class Measured:
    """What the card's numbers come from.

    Attributes:
        run: The run as it was trained.
        published: The run's folder, or a folder with the weights that the card is of.
        evaluation: Of the published weights; None if the store is missing.
        reason: Why there is no evaluation.
    """

    run: Run
    published: Run
    evaluation: Evaluation | None
    reason: str = ""


def run_card(
    run: Run | str | Path,
    *,
    published: str | Path | None = None,
    store: str | Path | None = None,
    seeds: Sequence[Run | str | Path] = (),
    licence: Licence | None = None,
    title: str = "",
    loading: str = "",
    notes: Sequence[str] = (),
) -> str:
    """Return the model card of a run; it evaluates the run and measures its cost on this machine.

    Args:
        run: A run, or its folder.
        published: The folder whose weights the card is of, such as the same in half precision; by default the run's own.
        store: The store of the run's clips, if it has moved.
        seeds: Other runs of the recipe, with other seeds: their results are listed.
        licence: Of the weights.
        title: The name of the recognizer; by default the folder's.
        loading: What `poseglot.load` takes for it; by default the run's folder.
        notes: More lines of the results.

    Raises:
        InputError: A run of `seeds` is of another recipe.
        PoseglotError: The run has no recognizer or no recipe.
    """
    run = as_run(run)
    own = run if published is None else Run(published, device=run.device)
    _check_seeds(run, [as_run(other) for other in seeds])
    try:
        measured = Measured(run, own, _evaluated(run, own, store))
    except PoseglotError as error:
        measured = Measured(run, own, None, str(error))
    recognizer = own.recognizer
    content = CardContent(
        title=title or run.folder.resolve().name,
        licence=licence or Licence(),
        results=_results(measured.evaluation),
        loading=loading or str(run.folder),
        sections={
            "Data": _data(measured, store),
            "Training": _training(run),
            "Results": [*_result_lines(measured, seeds), *notes],
            "Calibration": _calibration(measured.evaluation),
            "Cost": _cost(own),
            "What it does not know": _limits(measured),
        },
    )
    return model_card(described(recognizer.spec, recognizer.layout), parameters=recognizer.num_parameters, content=content)


def _check_seeds(run: Run, others: Sequence[Run]) -> None:
    for other in others:
        if unlike := [name for name, _, _ in differing(run.recipe, other.recipe) if name not in _FREE]:
            raise InputError(f"{other.folder} is of another recipe than {run.folder}: it differs in {', '.join(unlike)}.")


def _data(measured: Measured, store: str | Path | None) -> list[str]:
    """Return what was learned from and tested on."""
    run, data = measured.run, measured.run.data()
    lines = [f"- Split `{data.split}`; modality {data.modality}."]
    if measured.evaluation is None:
        return [*lines, f"- Clips: not counted ({measured.reason.rstrip('.')})."]
    if store is not None:
        run = run.on(open_store(store), measured.evaluation.scores)
    trained, tested = subsets(data, run.store)
    people = run.store.clips["subject"]
    lines.append(
        f"- Data set `{run.store.info.name}`: {len(trained):,} clips of {_people(people[trained])} for training, "
        f"{len(tested):,} clips of {_people(people[tested])} for testing."
    )
    if measured.evaluation.in_training is None:
        lines.append("- Whether test clips are training clips was not checked.")
    elif twice := int(measured.evaluation.in_training.sum()):
        lines.append(f"- {twice} test clips are training clips, too. The results below are with and without them.")
    return lines


def _people(subjects: npt.NDArray[np.integer]) -> str:
    known = counted_people(len(np.unique(subjects[subjects > 0])))
    return known if (subjects > 0).all() else f"{known} and others who are not known"


def _training(run: Run) -> list[str]:
    """Return how the run was trained."""
    recipe, machine, log = run.recipe, run.files.read_machine(), run.log
    text = recipe.text
    lines = [f"- Command: `{training_command(run)}`."]
    lines.append(
        f"- Seed {recipe.seed}, {recipe.optim.epochs} epochs, batches of {recipe.optim.batch_size}, precision {recipe.precision}."
    )
    if recipe.with_text:
        lines.append(
            f"- Text supervision: prompt {text.prompt}, partition {text.partition}, descriptions "
            f"{machine.get('texts', text.descriptions)}, text encoder {text.encoder} "
            f"({'frozen' if text.freeze else 'fine-tuned'}). Text is not needed to predict."
        )
    else:
        lines.append("- Text supervision: none.")
    if machine:
        commit = machine.get("commit") or "not recorded"
        lines.append(
            f"- Poseglot {machine.get('poseglot')}, commit {commit}, PyTorch {machine.get('torch')}; {machine.get('device')}."
        )
    if log:
        lines.append(f"- {run.files.elapsed() / 60:.0f} minutes.")
    return lines


def training_command(run: Run) -> str:
    """Return the command that trains a run's recipe: the nearest packaged recipe and what differs from it, or the run's own recipe."""
    recipe = run.recipe
    found = {name: differing(read_recipe(name), recipe) for name in list_recipes()}
    nearest = min(found, key=lambda name: len(found[name]))
    overrides = [(name, value) for name, _, value in found[nearest] if name not in _FREE]
    if len(overrides) > _MAX_OVERRIDES:
        return f"poseglot train --config recipe.yaml --seed {recipe.seed} --out RUN"
    settings = "".join(f" --{name} {value}" for name, value in overrides)
    return f"poseglot train --config {nearest}{settings} --seed {recipe.seed} --out RUN"


def _evaluated(run: Run, own: Run, store: str | Path | None) -> Evaluation:
    """Evaluate published weights; which clips the run was trained on is known from the run, whose store they lie without."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        evaluation = evaluate(own, store)
        if evaluation.in_training is None and own is not run:
            data = run.data(store)
            clips = open_store(data.store)
            learned, tested = subsets(data, clips)
            evaluation = replace(evaluation, in_training=clips_in_training(run, clips, tested, assumed=learned))
    return evaluation


def _results(evaluation: Evaluation | None) -> list[Result]:
    if evaluation is None:
        return []
    scores, top1 = evaluation.scores, evaluation.top1
    results = [Result(scores.dataset, scores.split, top1.correct, top1.total)]
    rest = evaluation.top1_without_training_clips
    if rest is not None and rest.total < top1.total:
        results.append(
            Result(scores.dataset, scores.split, rest.correct, rest.total, "without test clips that are training clips")
        )
    for name, accuracy in evaluation.per_set.items():
        results.append(Result(name, scores.split, accuracy.correct, accuracy.total, "among the classes of all sets"))
    return results


def _result_lines(measured: Measured, seeds: Sequence[Run | str | Path]) -> list[str]:
    """Return a table of accuracies, the seeds, the classes and the confusions."""
    evaluation = measured.evaluation
    if evaluation is None:
        log = measured.run.log
        logged = [f"Last epoch of the training's log: {Accuracy(**log[-1]['test'])}."] if log and "test" in log[-1] else []
        return [f"{NOT_MEASURED} {measured.reason}", *logged]
    scores = evaluation.scores
    lines = ["| clips | top-1 | 95 % interval |", "|---|---|---|"]
    for result in _results(evaluation):
        low, high = Accuracy(result.correct, result.total).interval
        what = f"{result.dataset}, {result.split}, {scores.subset_text}{f', {result.note}' if result.note else ''}"
        lines.append(f"| {what} | {result} | {low:.1f} to {high:.1f} % |")
    lines += [
        "",
        "Weights are those of the last epoch; none was chosen on these clips. Intervals treat clips as independent, so they are "
        "too narrow.",
        "",
    ]
    if len(scores.classes) > 5:
        lines.append(f"- Top-5: {evaluation.top5}.")
    for each in map(as_run, (measured.run, *seeds)) if seeds else ():
        last = each.log[-1] if each.log else {}
        counted = Accuracy(**last["test"]) if "test" in last else "not in its log"
        lines.append(f"- Seed {each.recipe.seed}, last epoch of its log: {counted}.")
    lines.append(
        f"- Of each action: {'; '.join(f'{name} {count.correct}/{count.total}' for name, count in evaluation.per_class.items())}."
    )
    pairs = worst_confusions(confusion(scores.logits, scores.labels), _CONFUSIONS)
    named = [f"{scores.classes[pair.true]} as {scores.classes[pair.predicted]} {pair.count}/{pair.total}" for pair in pairs]
    lines.append(f"- Confused most: {'; '.join(named) or 'none'}.")
    return lines


def _calibration(evaluation: Evaluation | None) -> list[str]:
    if evaluation is None:
        return [NOT_MEASURED]
    before, after, clips = evaluation.reliability, evaluation.calibrated, len(evaluation.scores.labels)
    perfect = f"perfect probabilities would have {(after or before).perfect_ece:.2%} on as few clips"
    if after is None:
        return [
            f"Not calibrated. Expected calibration error {before.ece:.2%} on {clips} test clips ({perfect}); NLL {before.nll:.3f}."
        ]
    return [
        f"Temperature {evaluation.temperature:.4f}, fitted on held-out folds of the training set. Expected calibration error "
        f"{before.ece:.2%} without it and {after.ece:.2%} with it on {clips} test clips ({perfect}); NLL {before.nll:.3f} "
        f"and {after.nll:.3f}."
    ]


def _cost(run: Run) -> list[str]:
    """Return size, operations and latency. The latter two are of one clip of zeros, for which the network does the same work."""
    bare, file = run.recognizer.drop_heads(), run.files.recognizer
    pipeline, spec = load_pipeline(run.spec.pipeline), run.spec
    clip = torch.zeros(1, spec.num_persons, pipeline.frames, len(run.layout), spec.channels, device=run.device)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        bare(clip)
    fused, threads = fuse(bare), torch.get_num_threads()
    where = describe_device(run.device)
    if run.device.type == "cpu":
        where += f", {threads} thread{'s' * (threads > 1)}"
    if hasattr(os, "getloadavg"):  # other work on the machine slows it
        where += f", load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    return [
        f"- File: {file.stat().st_size / 1e6:.2f} MB, SHA-256 `{sha256_of(file)}`.",
        f"- {counter.get_total_flops() / 2e9:.3f} G multiply-adds for a clip of {pipeline.frames} frames; {bare.num_parameters:,} "
        "parameters run at test time.",
        f"- {1000 * _latency(fused, clip):.1f} ms for one clip, the median of {_TIMED}, network alone, on {where}, Python "
        f"{platform.python_version()}, PyTorch {torch.__version__}.",
    ]


def _latency(network: Callable[[Tensor], Tensor], clip: Tensor) -> float:
    """Return the median seconds of a network for one clip."""
    seconds = []
    with torch.inference_mode():
        for _ in range(2 * _TIMED):
            started = time.perf_counter()
            network(clip).cpu()  # waits for a GPU
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[_TIMED:])


def _limits(measured: Measured) -> list[str]:
    """Return what the recognizer does not know."""
    run = measured.published
    lines = [
        f"- Other actions. It knows {len(run.classes)}; a clip of any other gets one of them, often with a high probability. "
        "`--threshold` helps a little.",
        "- Other sensors, viewpoints, pose estimators and frame rates than those of its training clips: not measured.",
        "- Ages, bodies, impairments and cultures that the data set lacks, and differences between groups of people: not measured.",
        "- When an action begins and ends: it was trained on clips that were cut.",
        "- It is not for decisions about a person, nor for people who did not agree to be recognized.",
    ]
    if measured.evaluation is not None:
        weakest = min(measured.evaluation.per_class.items(), key=lambda item: item[1].percent if item[1].total else 101)
        lines.insert(1, f"- Its weakest action on the test clips is {weakest[0]}: {weakest[1]}.")
    return lines
