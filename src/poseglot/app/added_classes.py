"""Classifiers of a run's classes and of added ones, for `poseglot predict`: by texts alone, or by example clips."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from poseglot.app.commands.register import missing_package, print_mappings
from poseglot.errors import FileError, InputError, MissingPackageError, SettingError, as_known
from poseglot.inference.inputs import files_in
from poseglot.inference.predictor import Classifier, Predictor
from poseglot.safe_text import name_text

_LOGGER = logging.getLogger("poseglot.app")

if TYPE_CHECKING:
    from poseglot.descriptions import Description


def added_classifier(
    predictor: Predictor,
    *,
    labels: Sequence[str] = (),
    descriptions: Path | None = None,
    bias: float | None = None,
    examples: Path | None = None,
    layout: str | None = None,
) -> Classifier:
    """Return a classifier of the predictor's classes and of added ones.

    Args:
        predictor: Made of a run's folder, with the engine torch.
        labels: Added classes by name.
        descriptions: A description set whose classes are added.
        bias: Is added to the cosines of added classes that are known by texts alone; None finds it on training clips, if they are there.
        examples: A folder with a folder of clips for each added class; trained classes may have one, too.
        layout: The layout of the examples, if it is not the recognizer's.

    Raises:
        SettingError: Examples and descriptions are both given, or a class would be there twice.
        InputError: The folder of examples has no folders.
    """
    try:
        from poseglot.descriptions import load_descriptions
        from poseglot.training.few_shot import FewShotRecognizer
        from poseglot.training.run import open_run
        from poseglot.training.zero_shot import ZeroShotRecognizer
    except ImportError as error:
        raise MissingPackageError(missing_package("added actions", error)) from error
    run = open_run(predictor.path, device=predictor.device)
    labels = [as_known(label, run.classes) for label in labels]
    if examples is None:
        described: list[Description] = (
            [] if descriptions is None else list(load_descriptions(str(descriptions)).classes.values())
        )
        recognizer = ZeroShotRecognizer(run)
        try:
            return recognizer.classifier(descriptions=described, labels=labels, bias=bias)
        except FileError as error:
            if bias is not None:
                raise
            _LOGGER.warning(
                "%s So trained actions are preferred: an added one rarely comes first. --add-class-bias 0.1 adds to its cosines.",
                error,
            )
            return recognizer.classifier(descriptions=described, labels=labels)
    if descriptions is not None or bias is not None:
        raise SettingError("--examples goes with --add-class, not with --add-class-descriptions or --add-class-bias.")
    folders = sorted(path for path in examples.iterdir() if path.is_dir()) if examples.is_dir() else []
    if not folders:
        raise InputError(f"{examples} has no folders; --examples takes a folder with a folder of clips for each action.")
    shown = _inputs(predictor, folders, layout)
    named = {label: torch.zeros(0) for label in labels if label not in shown}
    return FewShotRecognizer(run).classifier({**shown, **named})


def _inputs(predictor: Predictor, folders: Sequence[Path], layout: str | None) -> dict[str, torch.Tensor]:
    """Return folder -> the inputs of its clips. What is unlike the training clips is logged, of all folders together."""
    files = {as_known(name_text(folder.name), predictor.classes): files_in(folder) for folder in folders}
    loaded, inputs = zip(*predictor.inputs([file for own in files.values() for file in own], layout=layout), strict=True)
    print_mappings([clip for batch in loaded for clip in batch])
    return dict(zip(files, torch.cat(inputs).split(list(map(len, files.values()))), strict=True))
