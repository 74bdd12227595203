"""A study: a YAML file that is a table of experiments. It is read, checked with all its recipes, and expanded into cells.

    format: poseglot-study/2
    title: What helps on the demo set
    about: a paragraph for the table's page
    base: demo                         # a packaged recipe, or the path of a recipe, relative to this file
    settings: {optim.epochs: 12}       # for every run, on top of the base recipe
    modalities: [joint]
    seeds: [0, 1, 2]
    folds: 0                           # 5: every run becomes five, in cross-validation on the training set
    tables:
      - title: Partition strategies
        paper: NTU-120 X-Sub, joint    # what the paper's numbers were measured on
        compare_with: none             # the row that the others are compared with
        rows:
          - {name: none, settings: {text.prompt: none}, paper: 84.6}
          - {name: four parts, settings: {text.partition: four}, paper: 85.4, note: as in figure 3}
          - {name: four modalities, modalities: [joint, bone], fuse: true, paper: {joint: 94.0, bone: 95.3, fused: 96.1}}
          - {name: another recipe, base: nw-ucla/official}
      - title: lambda
        grid: {loss.alignment_weight: [1.0, 0.8]}    # instead of rows; `paper: [85.0, 85.5]` gives its numbers in this order

`tables_of: other.yaml` instead of `tables` takes the tables of another study in the same folder, on this one's base.

A cell is one recipe, and so one training. Rows of any table with the same recipe share one run, and a run that exists is not trained again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, get_args, get_type_hints

from poseglot.errors import PoseglotError, SettingError
from poseglot.files import find_yaml, packaged_names
from poseglot.safe_yaml import read_yaml
from poseglot.studies.section import Section, is_number, repeated
from poseglot.training.recipe import DataRecipe, Recipe
from poseglot.training.recipe_io import parse_recipe

FORMAT = "poseglot-study/2"
FUSED = "fused"

_STUDY_KEYS = ("format", "title", "about", "base", "settings", "modalities", "seeds", "folds", "tables", "tables_of")
_TABLE_KEYS = ("title", "paper", "compare_with", "rows", "grid")
_ROW_KEYS = ("name", "base", "settings", "modalities", "fuse", "paper", "note")
_MODALITIES: tuple[str, ...] = get_args(get_type_hints(DataRecipe)["modality"])
# Settings that the study sets itself, and the key for them.
_OWN = {"config": "base", "seed": "seeds", "data.modality": "modalities", "data.folds": "folds", "data.fold": "folds"}


@dataclass(frozen=True)
class Cell:
    """A recipe and its run.

    Attributes:
        recipe: The whole recipe.
        config, settings: The recipe's file or packaged name, and the settings on top of it, as on a command line.
        folder: The run's folder.
        accelerator: What to train on.
    """

    recipe: Recipe
    config: Path
    settings: Mapping[str, str]
    folder: Path
    accelerator: str = "auto"

    @property
    def log(self) -> Path:
        """The file for the output of training and evaluation, beside the folder."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def train(self) -> list[str]:
        """The arguments of `poseglot` that train the cell."""
        machine = [] if self.accelerator == "auto" else ["--accelerator", self.accelerator]
        start = ["train", "--config", self.config.as_posix(), "--out", str(self.folder), "--resume", *machine]
        return [*start, *_as_arguments(self.settings)]

    @property
    def evaluate(self) -> list[str]:
        """The arguments of `poseglot` that write the cell's scores."""
        return ["evaluate", str(self.folder)]


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        modalities: In the table's order.
        fuse: Whether there is a line for their ensemble, too.
        paper: The paper's numbers in percent, by modality or `fused`.
        cells: The cells of every modality, seed and fold.
    """

    name: str
    modalities: tuple[str, ...]
    fuse: bool
    paper: Mapping[str, float]
    note: str
    cells: tuple[Cell, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines of the row: every modality, then perhaps `fused`."""
        return (*self.modalities, FUSED) if self.fuse else self.modalities

    def cells_of(self, line: str, seed: int) -> list[list[Cell]]:
        """Return the cells of a line and a seed: for each fold those whose scores are fused (one, or one per modality)."""
        modalities = self.modalities if line == FUSED else (line,)
        cells: dict[tuple[str, int], Cell] = {
            (cell.recipe.data.modality, cell.recipe.data.fold): cell for cell in self.cells if cell.recipe.seed == seed
        }
        return [[cells[modality, fold] for modality in modalities] for fold in sorted({fold for _, fold in cells})]


@dataclass(frozen=True)
class Table:
    """A table of a study.

    Attributes:
        paper: What the paper's numbers were measured on, or empty.
        compare_with: The name of the row that the others are compared with, or None.
    """

    title: str
    paper: str
    compare_with: str | None
    rows: tuple[Row, ...]

    @property
    def reference(self) -> Row | None:
        """The row that the others are compared with."""
        return next((row for row in self.rows if row.name == self.compare_with), None)


@dataclass(frozen=True)
class Study:
    """A study, expanded into cells.

    Attributes:
        runs: The folder of its runs.
        command: The arguments of `poseglot` that run it.
    """

    title: str
    about: str
    seeds: tuple[int, ...]
    tables: tuple[Table, ...]
    runs: Path
    command: tuple[str, ...]

    @property
    def cells(self) -> list[Cell]:
        """All distinct cells in the order to run them: the first seed of all rows comes before the second of any."""
        cells = {cell.folder: cell for table in self.tables for row in table.rows for cell in row.cells}
        return sorted(cells.values(), key=lambda cell: self.seeds.index(cell.recipe.seed))


def list_studies() -> list[str]:
    """List the names of the packaged studies."""
    return packaged_names("poseglot.studies", "library")


def find_study(name_or_path: str | Path) -> Path:
    """Find a packaged study by its name, such as nw-ucla-ablation, or a study of one's own by its path, which ends in .yaml or .yml.

    Raises:
        PoseglotError: no packaged study has this name; the message lists those there are.
    """
    return find_yaml("poseglot.studies", "library", str(name_or_path), kind="study")


def load_study(path: str | Path, *, runs: Path | None = None, settings: Sequence[str] = (), accelerator: str = "auto") -> Study:
    """Read a study and expand it. All of its recipes are read, so that errors are found before anything runs.

    Args:
        path: The study's file, or the name of a packaged study.
        runs: The folder of the runs, by default runs/STUDY.
        settings: Settings for every run, as on a command line (`--optim.epochs 2`); they override the study's.
        accelerator: What every run trains on.

    Raises:
        PoseglotError: The file has an error; the message names the place.
    """
    name, path = str(path), find_study(path)
    content = read_yaml(path, "study")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise SettingError(f"{path} is not a study: it must begin with 'format: {FORMAT}'.")
    file = Section(content, str(path), _STUDY_KEYS)
    usual = Path("runs") / path.stem
    overrides = _from_arguments(settings)
    plan = _Plan(file, path.parent, runs or usual, overrides, accelerator)
    tables = tuple(
        plan.table(table, f"{where}, table {number}") for number, (where, table) in enumerate(_tables(file, path), 1)
    )
    if (twice := repeated(table.title for table in tables)) is not None:
        raise SettingError(f"{path} has two tables with the title {twice!r}; give each its own.")
    typed = name if name in list_studies() else str(_as_typed(path))
    command = ["study", typed, *_as_arguments(overrides)]
    command += ["--runs", str(plan.runs)] if plan.runs != usual else []
    command += ["--accelerator", accelerator] if accelerator != "auto" else []
    return Study(file.text("title"), file.text("about", ""), plan.seeds, tables, plan.runs, tuple(command))


def _tables(file: Section, path: Path) -> list[tuple[str, Any]]:
    """Return every table as YAML gave it, and the file that it is in."""
    if "tables_of" not in file:
        return [(str(path), table) for table in file.entries("tables")]
    if "tables" in file:
        raise SettingError(f"{path} must have either tables or tables_of.")
    other = path.parent / file.text("tables_of")
    content = read_yaml(other, "study")
    if not isinstance(content, dict) or content.get("format") != FORMAT or "tables" not in content:
        raise SettingError(f"{other}, named by tables_of in {path}, is not a study with tables.")
    return [(str(other), table) for table in Section(content, str(other), _STUDY_KEYS).entries("tables")]


class _Plan:
    """What the tables of a study share, and the cells made so far."""

    def __init__(self, file: Section, folder: Path, runs: Path, overrides: Mapping[str, str], accelerator: str) -> None:
        self.folder, self.runs, self.overrides, self.accelerator = folder, runs, overrides, accelerator
        self.base = file.text("base")
        self.settings = _settings(file)
        self.modalities = file.names("modalities", _MODALITIES) if "modalities" in file else ("joint",)
        self.seeds = file.whole_numbers("seeds")
        self.folds = file.whole_number("folds", 0)
        if self.folds == 1 or self.folds < 0:
            raise file.refuse("folds", "0 (evaluate on the test set), or a number of folds from 2")
        self.cells: list[Cell] = []

    def table(self, content: Any, where: str) -> Table:
        section = Section(content, where, _TABLE_KEYS)
        title = section.text("title")
        section.where += f" ({title})"
        if ("rows" in section) == ("grid" in section):
            raise SettingError(f"{section.where} must have either rows or a grid.")
        described = _grid_rows(section) if "grid" in section else section.entries("rows")
        rows = tuple(self.row(row, f"{section.where}, row {number}", title) for number, row in enumerate(described, 1))
        names = [row.name for row in rows]
        if (twice := repeated(names)) is not None:
            raise SettingError(f"{section.where} has two rows named {twice!r}; give each its own name.")
        compare_with = section.text("compare_with") if "compare_with" in section else None
        if compare_with is not None and compare_with not in names:
            raise section.refuse("compare_with", f"the name of one of the table's rows ({', '.join(names)})")
        # In a grid, `paper` may also be the list of numbers.
        paper = section.text("paper", "") if not isinstance(section.raw("paper"), list) or "grid" not in section else ""
        return Table(title, paper, compare_with, rows)

    def row(self, content: Any, where: str, table: str) -> Row:
        section = Section(content, where, _ROW_KEYS)
        name = section.text("name")
        section.where += f" ({name})"
        modalities = section.names("modalities", _MODALITIES) if "modalities" in section else self.modalities
        fuse = section.flag("fuse")
        if fuse and len(modalities) < 2:
            raise SettingError(f"{section.where}: fuse needs at least two modalities; there is {modalities[0]}.")
        base = section.text("base", self.base)
        config = _as_typed(self.folder / base) if base.endswith((".yaml", ".yml")) else Path(base)
        settings = {**self.settings, **_settings(section), **self.overrides}
        try:
            recipe = parse_recipe(["--config", config.as_posix(), *_as_arguments(settings)])
            cells = tuple(
                self.cell(recipe, config, settings, modality, seed, fold, (name, table))
                for seed in self.seeds
                for modality in modalities
                for fold in (range(1, self.folds + 1) if self.folds else [0])
            )
        except PoseglotError as error:
            raise SettingError(f"{section.where}: {error}") from error
        note = section.text("note", "")
        return Row(name, modalities, fuse, _paper(section, (*modalities, FUSED) if fuse else modalities), note, cells)

    def cell(
        self,
        recipe: Recipe,
        config: Path,
        settings: Mapping[str, str],
        modality: Any,
        seed: int,
        fold: int,
        names: tuple[str, str],
    ) -> Cell:
        """Return the cell of a modality, seed and fold of a row; an existing one if the recipe is the same."""
        data = replace(recipe.data, modality=modality)
        settings = {**settings, "data.modality": modality, "seed": str(seed)}
        name = f"{modality}-seed{seed}"
        if self.folds:
            data = replace(data, folds=self.folds, fold=fold)
            settings |= {"data.folds": str(self.folds), "data.fold": str(fold)}
            name += f"-fold{fold}"
        recipe = replace(recipe, seed=seed, data=data)
        for cell in self.cells:
            if cell.recipe == recipe:
                return cell
        row, table = map(_slug, names)
        taken = {cell.folder for cell in self.cells}
        free = [folder for folder in (self.runs / f"{row}-{name}", self.runs / f"{table}-{row}-{name}") if folder not in taken]
        if not free:
            raise SettingError(
                f"its runs would have the same folders as those of another row ({row}-{name}); name it differently."
            )
        self.cells.append(Cell(recipe, config, settings, free[0], self.accelerator))
        return self.cells[-1]


def _grid_rows(section: Section) -> list[dict[str, Any]]:
    """Return every combination of a grid as a row."""
    grid = section.mapping("grid")
    if not grid or not all(isinstance(values, list) and values for values in grid.values()):
        raise section.refuse("grid", "settings, each with the list of its values")
    rows: list[dict[str, Any]] = []
    for values in product(*grid.values()):
        settings = dict(zip(grid, values, strict=True))
        rows.append({"name": ", ".join(f"{key} {_as_text(value)}" for key, value in settings.items()), "settings": settings})
    numbers = section.raw("paper")
    if isinstance(numbers, list):
        if len(numbers) != len(rows):
            raise section.refuse("paper", f"a number for each of the {len(rows)} rows of the grid, or a text")
        for row, number in zip(rows, numbers, strict=True):
            row["paper"] = number
    return rows


def _paper(section: Section, lines: Sequence[str]) -> Mapping[str, float]:
    numbers = section.raw("paper")
    if numbers is None:
        return {}
    if is_number(numbers) and len(lines) == 1:
        return {lines[0]: float(numbers)}
    if isinstance(numbers, dict) and all(key in lines and is_number(value) for key, value in numbers.items()):
        return {key: float(value) for key, value in numbers.items()}
    accepted = "a number in percent" if len(lines) == 1 else f"numbers in percent by name ({', '.join(lines)})"
    raise section.refuse("paper", accepted)


def _settings(section: Section) -> dict[str, str]:
    """Return a section's settings as texts for a command line."""
    settings = section.mapping("settings")
    try:
        texts = {name: _as_text(value) for name, value in settings.items()}
    except TypeError as error:
        raise section.refuse("settings", "numbers, texts, true, false, and lists and mappings of them") from error
    _refuse_own(settings, section.where)
    return texts


def _refuse_own(names: Sequence[str] | Mapping[str, Any], where: str) -> None:
    """Refuse settings that the study sets itself, and whole sections."""
    sections = {name for name, kind in get_type_hints(Recipe).items() if is_dataclass(kind)}
    for name in names:
        if name in _OWN:
            raise SettingError(f"{where}: {name} cannot be set here; a study sets it with its key {_OWN[name]}.")
        if name in sections:
            raise SettingError(f"{where}: {name} is a whole section; give single settings, like optim.epochs: 12.")


def _as_text(value: Any) -> str:
    """Return a value as it is on a command line, where it is read as YAML."""
    return value if isinstance(value, str) else json.dumps(value)


def _as_arguments(settings: Mapping[str, str]) -> list[str]:
    arguments = []
    for name, value in settings.items():
        # A value that looks like an option needs an equals sign.
        arguments += [f"--{name}={value}"] if value.startswith("-") else [f"--{name}", value]
    return arguments


def _from_arguments(arguments: Sequence[str]) -> dict[str, str]:
    """Parse settings from a command line, without those that the study sets itself."""
    settings = parse_settings(arguments)
    _refuse_own(settings, "the command line")
    return settings


def parse_settings(arguments: Sequence[str]) -> dict[str, str]:
    """Parse settings from a command line: name, without dashes -> value.

    Raises:
        SettingError: A name has no value, or a value has no name.
    """
    settings: dict[str, str] = {}
    left = list(arguments)
    while left:
        name, equals, value = left.pop(0).partition("=")
        if not name.startswith("--") or not (equals or (left and not left[0].startswith("--"))):
            raise SettingError(f"cannot use {name!r}: settings are given as a name and a value, like --optim.epochs 2.")
        settings[name.removeprefix("--")] = value if equals else left.pop(0)
    return settings


def _as_typed(path: Path) -> Path:
    """Return a path relative to the current folder, if it is inside."""
    whole, here = path.resolve(), Path.cwd().resolve()
    return whole.relative_to(here) if whole.is_relative_to(here) else whole


def _slug(name: str) -> str:
    """Return a name that can be part of a folder's name."""
    return re.sub(r"[^\w.]+", "-", name.lower()).strip("-.") or "row"
