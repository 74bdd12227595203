"""Recipes: the shipped ones, overrides, and what is refused by name."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from poseglot.errors import FileError, SettingError
from poseglot.training.recipe import Recipe
from poseglot.training.recipe_io import list_recipes, parse_recipe, read_recipe, recipe_of, recipe_yaml

PAPER = "nw-ucla/paper"


@pytest.mark.parametrize("name", list_recipes())
def test_every_shipped_recipe_is_valid_and_comes_back_from_yaml(name: str, tmp_path: Path) -> None:
    recipe = read_recipe(name)
    (tmp_path / "again.yaml").write_text(recipe_yaml(recipe))
    assert read_recipe(tmp_path / "again.yaml") == recipe


def test_the_papers_settings_are_in_its_recipe() -> None:
    recipe = read_recipe(PAPER)
    optim = recipe.optim
    assert (optim.batch_size, optim.epochs, optim.lr, optim.weight_decay) == (64, 110, 0.2, 4e-4)
    assert (optim.milestones, optim.warmup_epochs, optim.gamma) == ([90, 100], 5, 0.1)
    assert (recipe.loss.alignment_weight, recipe.loss.logit_scale, recipe.loss.target) == (0.8, 10.0, "normalized")
    assert (recipe.text.prompt, recipe.text.partition, recipe.model.base_channels) == ("synonym+parts", "four", 64)


@pytest.mark.parametrize("benchmark", ["nw-ucla", "ntu60", "ntu120"])
def test_the_official_recipe_switches_on_every_quirk(benchmark: str) -> None:
    recipe = read_recipe(f"{benchmark}/official")
    assert recipe.data.official_repeated_augmentation
    assert recipe.model.official_input_transform
    assert recipe.text.official_parts
    assert recipe.text.official_format
    assert (recipe.loss.alignment_weight, recipe.loss.target, recipe.loss.learn_logit_scale) == (
        1.0 if benchmark == "nw-ucla" else 0.8,
        "soft10",
        True,
    )
    assert recipe.loss.logit_scale == pytest.approx(2.659)
    assert recipe.text.lr_scale == 1.0


def test_values_on_the_command_line_win() -> None:
    recipe = parse_recipe(
        ["--config", PAPER, "--data.modality", "bone", "--optim.lr", "0.05", "--seed", "3", "--optim.milestones", "[1, 2]"]
    )
    assert (recipe.data.modality, recipe.optim.lr, recipe.seed, recipe.optim.milestones) == ("bone", 0.05, 3, [1, 2])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--optim.learning_rate", "1"], "learning_rate"),
        (["--data.modality", "bones"], "data.modality"),
        (["--optim.epochs", "many"], "optim.epochs"),
        (["--optim.epochs", "0"], "optim.epochs"),
        (["--text.official_parts", "true", "--text.partition", "six"], "official_parts"),
        (["--checkpoint_every", "0"], "checkpoint_every"),
    ],
)
def test_unknown_keys_and_wrong_values_are_named(arguments: list[str], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        parse_recipe(["--config", PAPER, *arguments])


def test_an_unknown_key_in_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("data: {store: x, split: y, flavour: 3}\n")
    with pytest.raises(SettingError, match="flavour"):
        read_recipe(path)
    with pytest.raises(FileError, match="nowhere"):
        read_recipe(tmp_path / "nowhere.yaml")


def test_a_recipe_without_text_says_so() -> None:
    assert Recipe.with_text.fget is not None
    assert parse_recipe(["--config", PAPER]).with_text
    assert not parse_recipe(["--config", PAPER, "--text.prompt", "none"]).with_text
    assert not parse_recipe(["--config", PAPER, "--text.partition", "none"]).with_text
    part_classes = parse_recipe(["--config", PAPER, "--text.prompt", "part-classes"])
    assert part_classes.with_levels
    assert not part_classes.with_text


def test_options_of_an_encoder_are_a_mapping(tmp_path: Path) -> None:
    recipe = parse_recipe(["--config", PAPER, "--model.encoder_kwargs", "{temporal: single-scale, kernel: 5}"])
    assert recipe.model.encoder_kwargs == {"temporal": "single-scale", "kernel": 5}
    (tmp_path / "again.yaml").write_text(recipe_yaml(recipe))
    assert read_recipe(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize(("folds", "fold"), [("5", "0"), ("0", "1"), ("1", "1"), ("5", "6"), ("-2", "1")])
def test_folds_that_do_not_fit_are_refused(folds: str, fold: str) -> None:
    with pytest.raises(SettingError, match=rf"data\.folds {folds} and data\.fold {fold} do not go together"):
        parse_recipe(["--config", PAPER, f"--data.folds={folds}", f"--data.fold={fold}"])


def test_a_prompt_and_a_partition_that_do_not_go_together_are_refused_when_read() -> None:
    with pytest.raises(SettingError, match=r"'synonym' describes the whole body.*--text\.partition global"):
        parse_recipe(["--config", PAPER, "--text.prompt", "synonym"])
    assert parse_recipe(["--config", PAPER, "--text.prompt", "synonym", "--text.partition", "none"]).with_text is False


def test_a_learned_weight_needs_a_start() -> None:
    with pytest.raises(SettingError, match=r"loss\.learn_alignment_weight needs a loss\.alignment_weight above 0"):
        parse_recipe(["--config", PAPER, "--loss.learn_alignment_weight", "true", "--loss.alignment_weight", "0"])


@pytest.mark.parametrize("text", ["optimiser: {}\n", "optim: {epoch: {}}\n"])
def test_an_empty_unknown_section_is_named_too(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("data: {store: x, split: y}\n" + text)
    with pytest.raises(SettingError, match=r"optimiser|optim\.epoch"):
        read_recipe(path)


def test_settings_are_not_guessed_from_their_first_letters() -> None:
    with pytest.raises(SettingError, match=r"optim\.epoch"):
        parse_recipe(["--config", PAPER, "--optim.epoch", "3"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data.modalty", "bone"], r"--data\.modalty\. Did you mean --data\.modality\?"),
        (["--ressume"], r"Did you mean --resume\?"),
        (["--optim.epochs", "three"], r"optim\.epochs: Expected a whole number\. Got value: three"),
        (["--optim.milestones", "20"], r"optim\.milestones: Expected a list like \[90, 100\]"),
        (["--data.modality", "bones"], r"data\.modality: Expected one of 'joint', 'bone'"),
    ],
)
def test_the_commonest_mistakes_are_put_in_plain_words(arguments: list[str], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        parse_recipe(["--config", PAPER, *arguments])


@pytest.mark.parametrize("text", ["", "just words", "- a\n- list\n", "a: *b"])
def test_a_file_that_is_no_recipe_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises((SettingError, FileError), match=r"recipe\.yaml"):
        read_recipe(path)


def test_settings_without_a_value_are_refused_by_name(tmp_path: Path) -> None:
    """YAML reads `epochs:` as null, which would be taken for any type."""
    table = asdict(read_recipe(PAPER))
    for section, settings in table.items():
        if not isinstance(settings, dict):
            continue
        for name, value in settings.items():
            if value is None:
                continue
            changed = {**table, section: {**settings, name: None}}
            (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(changed))
            with pytest.raises(SettingError) as raised:
                read_recipe(tmp_path / "recipe.yaml")
            assert f"{section}.{name}" in str(raised.value)


@pytest.mark.parametrize("value", [0, 0.0, False, [], None, 5, "x", ""])
def test_sections_that_are_none_are_refused_by_name(tmp_path: Path, value: object) -> None:
    """Found by the attack on readers: `text: 0.0` went through to a traceback."""
    table = asdict(read_recipe(PAPER))
    for section in ("data", "text", "optim"):
        changed = {**table, section: value}
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(changed))
        for read in (lambda: read_recipe(tmp_path / "recipe.yaml"), lambda changed=changed: recipe_of(changed)):
            with pytest.raises(SettingError, match=section):
                read()


def test_an_empty_section_has_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**asdict(read_recipe(PAPER)), "loss": {}}))
    assert read_recipe(tmp_path / "recipe.yaml").loss == Recipe(read_recipe(PAPER).data).loss
