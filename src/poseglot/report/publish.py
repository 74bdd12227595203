"""Write the folder of a recognizer that is published: weights, recipe, calibration, segmenter, card and licence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from poseglot.descriptions import load_descriptions
from poseglot.errors import FileError
from poseglot.evaluation.temperature import CALIBRATION_FILE
from poseglot.files import folder_written_atomically, sha256_of, write_atomically
from poseglot.inference.actions import ActionTexts, save_action_texts
from poseglot.models.card import Licence
from poseglot.models.pretrained import CARD_FILE, DESCRIPTIONS_FILE, LICENCE_FILE, MACHINE_FILE
from poseglot.models.segmenter import load_segmenter, save_segmenter
from poseglot.report.card import run_card
from poseglot.training.evaluate import evaluate
from poseglot.training.recipe import Recipe
from poseglot.training.recipe_io import change_paths, recipe_yaml
from poseglot.training.run import Run, as_run
from poseglot.training.run_folder import RunFolder
from poseglot.training.zero_shot import ZeroShotRecognizer


def publish_run(
    run: Run | str | Path,
    folder: str | Path,
    *,
    name: str,
    half: bool = True,
    store: str | Path | None = None,
    seeds: Sequence[Run | str | Path] = (),
    licence: Licence | None = None,
    licence_text: str = "",
    loading: str = "",
    notes: Sequence[str] = (),
    overwrite: bool = False,
) -> Path:
    """Write a run's recognizer into a folder that `poseglot.load`, `from_pretrained` and the Hugging Face Hub take; return the folder.

    The alignment heads stay if the text encoder was frozen, so that classes can be added by text, and with them come the text features of
    all actions that the run's set describes (`poseglot predict --actions`); a text encoder that was trained is not
    published, and heads are worth nothing without it. The card has the accuracy of the published weights and that of the run.

    Args:
        run: A run, or its folder.
        folder: The folder to make.
        name: The name of the recognizer.
        half: Store matrices as float16.
        store, seeds, licence: As in `run_card`.
        licence_text: The text of the licence, for the file LICENSE.
        loading: What `poseglot.load` will take for it; by default the folder.
        notes: More lines of the results.
        overwrite: Replace the folder if there is one.

    Raises:
        FileError: The folder exists, or the disk refused.
        PoseglotError: The run cannot be evaluated on its store.
    """
    run, folder = as_run(run), Path(folder)
    if folder.exists() and not overwrite:
        raise FileError(f"{folder} already exists; choose another folder.")
    recipe, files = run.recipe, run.files
    recognizer = run.recognizer if recipe.with_text and recipe.text.freeze else run.recognizer.drop_heads()
    trained = evaluate(run, store)
    with folder_written_atomically(folder, overwrite=overwrite) as partial:
        recognizer.save_pretrained(partial, half=half)
        published = RunFolder(partial)
        write_atomically(published.recipe, recipe_yaml(_portable(recipe, trained.scores.dataset)))
        if (own := Path(recipe.text.descriptions)).is_file():
            write_atomically(partial / DESCRIPTIONS_FILE, own.read_bytes())
        if recognizer.spec.levels:
            described, texts = tuple(load_descriptions(recipe.text.descriptions).classes), ZeroShotRecognizer(run)
            save_action_texts(ActionTexts(described, texts.class_features(described), texts.logit_scale), partial)
        if machine := files.read_machine():
            write_atomically(partial / MACHINE_FILE, json.dumps(machine, indent=1) + "\n")
        if (calibrated := files.recognizer.with_name(CALIBRATION_FILE)).exists():
            table = {**json.loads(calibrated.read_text()), "recognizer": sha256_of(published.recognizer)}
            write_atomically(partial / CALIBRATION_FILE, json.dumps(table, indent=1) + "\n")
        if files.segmenter.exists():
            segmenter = load_segmenter(files.segmenter, files.recognizer)
            segmenter.spec = replace(segmenter.spec, recognizer=sha256_of(published.recognizer))
            save_segmenter(segmenter, published.segmenter)
        if licence_text:
            write_atomically(partial / LICENCE_FILE, licence_text)
        card = run_card(
            run,
            published=partial,
            store=store or run.data().store,
            seeds=seeds,
            licence=licence,
            title=name,
            loading=loading or str(folder),
            notes=[
                f"- These weights are stored in {'half' if half else 'full'} precision. The run as it was trained, in full precision: "
                f"{trained.top1}.",
                *notes,
            ],
        )
        write_atomically(partial / CARD_FILE, card)
    return folder


def _portable(recipe: Recipe, dataset: str) -> Recipe:
    """Return a recipe without the paths of this machine."""

    def alone(setting: str) -> str:
        return Path(setting).name if Path(setting).exists() else setting

    portable = change_paths(recipe, alone)
    if Path(recipe.text.descriptions).is_file():
        portable = replace(portable, text=replace(portable.text, descriptions=DESCRIPTIONS_FILE))
    # The store of another machine is found where `poseglot prepare` would put it.
    return replace(portable, data=replace(portable.data, store=f"data/{dataset}"))
