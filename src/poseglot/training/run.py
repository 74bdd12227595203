"""An opened run: everything that a training made, from its folder.

    run = poseglot.open_run("runs/first")
    run.recipe.optim.epochs, run.log[-1]["loss"], run.recognizer, run.test.labels, run.scores

Each part is read when it is first asked for. Evaluation, zero-shot recognition, calibration, reports and the server start from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poseglot.data.dataset import ClipDataset
from poseglot.data.store import Indices, PackedStore, open_store
from poseglot.descriptions import Description, PromptTable, load_descriptions
from poseglot.errors import FileError, InputError, SettingError
from poseglot.evaluation.metrics import Accuracy
from poseglot.evaluation.scores import SavedScores, load_scores
from poseglot.evaluation.temperature import set_thresholds_of, temperature_of
from poseglot.models.pretrained import find_recognizer
from poseglot.models.recognizer import Recognizer, RecognizerSpec, load_recognizer
from poseglot.models.text import TextEncoder, load_text_encoder
from poseglot.models.text.encode import encode_texts
from poseglot.models.text.prompt_learner import PromptLearner
from poseglot.skeletons.layout import Layout, load_layout
from poseglot.training.build import prompts_of
from poseglot.training.checkpoint import load_part
from poseglot.training.recipe import DataRecipe, Recipe
from poseglot.training.recipe_io import read_recipe
from poseglot.training.run_folder import RunFolder
from poseglot.training.subsets import ClassSplit, class_mapping, class_split, subsets
from poseglot.transforms import load_pipeline


def open_run(path: str | Path, *, device: str | torch.device | None = None) -> Run:
    """Open a run.

    Args:
        path: The folder that a training wrote, or a name that `poseglot.load` knows.
        device: Where the recognizer and the text encoder run; by default a GPU if there is one.

    Raises:
        FileError: The path is not a folder.
        NotFoundError: There is no packaged recognizer of this name.
    """
    folder = find_recognizer(path)
    if not folder.is_dir():
        reason = "is not a folder" if folder.exists() else "does not exist"
        raise FileError(f"{folder} {reason}; expected the folder that a training wrote (its --out).")
    return Run(folder, device=device)


class Run:
    """A run, opened. Properties raise a `PoseglotError` that says what is missing.

    Args:
        folder: The folder that a training wrote.
        device: Where the recognizer and the text encoder run; by default a GPU if there is one.

    Attributes:
        folder, device: See the arguments.
        files: The paths of the run's files.
    """

    def __init__(self, folder: str | Path, *, device: str | torch.device | None = None) -> None:
        self.files = RunFolder(Path(folder))
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @property
    def folder(self) -> Path:
        return self.files.folder

    # What was trained

    @property
    def has_recipe(self) -> bool:
        """Whether the run has a recipe; imported weights have none."""
        return self.files.recipe.exists()

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe that the run was trained with."""
        if not self.has_recipe:
            raise FileError(f"{self.folder} has no recipe.yaml, which says what it was trained on.")
        return read_recipe(self.files.recipe)

    @cached_property
    def recognizer(self) -> Recognizer:
        """The trained recognizer with its alignment heads, in evaluation mode, on the run's device."""
        return load_recognizer(self.files.recognizer).to(self.device)

    @property
    def spec(self) -> RecognizerSpec:
        """The specification of the recognizer."""
        return self.recognizer.spec

    @property
    def layout(self) -> Layout:
        """The layout of the recognizer's joints."""
        return self.recognizer.layout

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that the recognizer knows."""
        return self.spec.classes

    @property
    def log(self) -> list[dict[str, Any]]:
        """The entries of the training log, one per epoch; empty for imported weights."""
        return self.files.read_log()

    @property
    def best_epoch(self) -> tuple[int, Accuracy] | None:
        """The earliest epoch with the highest accuracy on the evaluated clips, from the log; None if it has none.

        It is chosen on the clips that it is measured on, so it is no result; the last epoch is.
        """
        tested = [entry for entry in self.log if "test" in entry]
        if not tested:
            return None
        best = max(tested, key=lambda entry: int(entry["test"]["correct"]))
        return int(best["epoch"]), Accuracy(**best["test"])

    @property
    def temperature(self) -> float | None:
        """The temperature of the run's calibration; None if it was not calibrated."""
        return temperature_of(self.files.recognizer)

    @property
    def set_thresholds(self) -> Mapping[float, float]:
        """Coverage -> the threshold of the run's conformal sets; empty if it was not calibrated."""
        return set_thresholds_of(self.files.recognizer)

    @cached_property
    def scores(self) -> SavedScores:
        """The scores that `poseglot evaluate` wrote."""
        return load_scores(self.files.scores)

    # The data

    def on(self, store: PackedStore, scores: SavedScores) -> Run:
        """Return the same run with another store and the scores of its clips, as `evaluate` gives them."""
        other = Run(self.folder, device=self.device)
        other.store, other.scores = store, scores
        return other

    def data(self, store: str | Path | None = None, split: str | None = None) -> DataRecipe:
        """Return the data settings of the recipe, with another store or split if given.

        Another store or split is evaluated on its whole test set, but always on the classes that were trained.

        Raises:
            FileError: The run has no recipe, and store and split are not both given.
        """
        if not self.has_recipe:
            if store is not None and split is not None:
                return DataRecipe(str(store), split)
            raise FileError(f"{self.folder} has no recipe.yaml that names its data; give --store and --split.")
        data = self.recipe.data
        if store is None and split is None:
            return data
        return DataRecipe(
            str(store or data.store),
            split or data.split,
            unseen_classes=data.unseen_classes,
            excluded_classes=data.excluded_classes,
        )

    @cached_property
    def store(self) -> PackedStore:
        """The store of the recipe."""
        return open_store(Path(self.data().store))

    @cached_property
    def class_split(self) -> ClassSplit:
        """The seen and the unseen classes of the recipe."""
        return class_split(self.data(), self.store)

    @cached_property
    def train(self) -> ClipDataset:
        """The clips that the run was trained on."""
        return self.dataset(subsets(self.data(), self.store)[0])

    @cached_property
    def test(self) -> ClipDataset:
        """The clips that the recipe evaluates: the test set, or the held-out fold."""
        return self.dataset(subsets(self.data(), self.store)[1])

    @cached_property
    def scored(self) -> ClipDataset:
        """The clips of `scores`, in their order, found by name in the recipe's store."""
        if self.classes != self.scores.classes:
            raise FileError(
                f"{self.files.scores} was written by a recognizer with other classes than the one beside it; run `poseglot evaluate` again."
            )
        where = {str(name): index for index, name in enumerate(self.store.clips["name"])}
        if missing := [name for name in self.scores.names if name not in where]:
            raise FileError(
                f"the recipe's store lacks {len(missing)} of the {len(self.scores.names)} clips of the scores ({missing[0]}, ...). "
                "Run `poseglot evaluate` again without --store."
            )
        return self.dataset(np.array([where[name] for name in self.scores.names], dtype=np.int64))

    def dataset(
        self, indices: Indices, *, store: PackedStore | None = None, classes: Sequence[str] | None = None
    ) -> ClipDataset:
        """Return clips of a store as the recognizer's input.

        Args:
            indices: Rows of the store's table.
            store: By default that of the recipe.
            classes: The classes that labels are indices into, by default those of the recognizer; clips of others have label -1.

        Raises:
            InputError: The store's joints are not those that the recognizer was trained on.
        """
        store, spec = store or self.store, self.spec
        if store.info.layout != spec.layout:
            raise InputError(
                f"the recognizer was trained in layout {self.layout.name}, but {store.info.name} is in layout "
                f"{load_layout(store.info.layout).name}."
            )
        channels, has_scores = store.joints.shape[-1], store.info.has_scores
        if (channels, has_scores) != (spec.channels, spec.has_scores):
            raise InputError(
                f"the clips of {store.info.name} have {_channels_text(channels, has_scores)} per joint, but the recognizer was trained on "
                f"{_channels_text(spec.channels, spec.has_scores)}. Prepare the store again with matching channels."
            )
        mapping = class_mapping(classes or spec.classes, store)
        transform = partial(load_pipeline(spec.pipeline), modality=spec.modality)
        return ClipDataset(store, indices, transform=transform, class_mapping=mapping)

    # The texts

    @cached_property
    def prompts(self) -> PromptTable | None:
        """The texts of every class and alignment level; None for a run without text."""
        if not self.recipe.with_text:
            return None
        return self.prompts_for(load_descriptions(self.recipe.text.descriptions).of(self.classes))

    def prompts_for(self, descriptions: Sequence[Description]) -> PromptTable:
        """Return the texts of any described classes, written by the recipe's prompt."""
        # The prompt `states` asks the encoder as it was before the training which states are near.
        encoder = load_text_encoder(self.recipe.text.encoder) if self.recipe.text.prompt == "states" else None
        return prompts_of(self.recipe.text, descriptions, encoder)

    @property
    def text_encoder_lost(self) -> bool:
        """Whether the text encoder was trained and the checkpoint that holds it is gone."""
        return self._text_was_trained and not self.files.checkpoint.exists()

    @property
    def text_encoder(self) -> TextEncoder | PromptLearner:
        """The text encoder after the last epoch, on the run's device.

        A trained one is in the checkpoint, not in the recognizer's file. A frozen one is the pre-trained one.
        """
        return self._text_encoder_and_scale[0]

    @property
    def logit_scale(self) -> float:
        """The factor of the cosines in training; the mean over levels if each has learned its own."""
        return self._text_encoder_and_scale[1]

    @cached_property
    def text_features(self) -> Mapping[str, Tensor]:
        """Alignment level -> (classes, width), the mean over each class's texts; empty for a run without text."""
        return self.encode_prompts()

    def encode_prompts(self, *, pretrained: bool = False) -> Mapping[str, Tensor]:
        """Encode the prompts.

        Args:
            pretrained: Use the text encoder as it was before the training.

        Returns:
            Alignment level -> (classes, width), the mean over each class's texts; empty for a run without text.

        Raises:
            FileError: The text encoder or the learned prompt vectors were trained, and the checkpoint is gone.
        """
        if self.prompts is None:
            return {}
        if pretrained and self.recipe.text.prompt == "learned":
            raise FileError(f"{self.files.checkpoint} does not exist; it held the learned prompt vectors.")
        encoder = load_text_encoder(self.recipe.text.encoder).to(self.device) if pretrained else self.text_encoder
        features = self.prompts.class_means(encode_texts(encoder.eval(), self.prompts.texts))
        return dict(zip(self.prompts.levels, features, strict=True))

    @property
    def _text_was_trained(self) -> bool:
        text = self.recipe.text
        return self.recipe.with_text and (text.prompt == "learned" or not text.freeze)

    @cached_property
    def _text_encoder_and_scale(self) -> tuple[TextEncoder | PromptLearner, float]:
        recipe, checkpoint = self.recipe, self.files.checkpoint
        text, loss = recipe.text, recipe.loss
        if not recipe.with_text:
            raise SettingError(
                f"{self.folder} was trained without text (text.prompt {text.prompt}, text.partition {text.partition}). "
                "Train with text.prompt synonym+parts."
            )
        encoder: TextEncoder | PromptLearner = load_text_encoder(text.encoder)
        if encoder.embed_dim != self.spec.embed_dim:
            raise SettingError(
                f"the text encoder {text.encoder!r} has {encoder.embed_dim} features, but {self.folder} was trained with "
                f"{self.spec.embed_dim}; it is another encoder than in training."
            )
        if text.prompt == "learned":
            assert isinstance(encoder, TextEncoder)
            encoder = PromptLearner(encoder, length=text.context_length, seed=recipe.seed)
        scale = loss.logit_scale
        if self._text_was_trained or loss.learn_logit_scale:
            if not checkpoint.exists():
                raise FileError(
                    f"{checkpoint} does not exist; it holds the text encoder as this run trained it. Keep it beside the recognizer, or "
                    "train with text.freeze true, which needs none."
                )
            trained = encoder if self._text_was_trained else torch.nn.Module()
            others = load_part(checkpoint, trained, "bank.encoder")
            scale = float(others["scale"].mean()) if loss.learn_logit_scale else scale
        return encoder.to(self.device).eval(), scale


def as_run(run: Run | str | Path) -> Run:
    """Return an opened run, or open the run in a folder."""
    return run if isinstance(run, Run) else open_run(run)


def _channels_text(channels: int, has_scores: bool) -> str:
    return f"{channels - has_scores} coordinates{' and a score' if has_scores else ''}"
