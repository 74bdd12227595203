"""`poseglot join`: several stores, of any sensors, into one that a single recognizer learns from."""

from __future__ import annotations

import argparse
from pathlib import Path

from poseglot.app.commands.register import AddCommand
from poseglot.errors import NotFoundError, SettingError


def add(command: AddCommand) -> None:
    join = command("join", run, "join stores of any sensors into one of the common body, to learn from all of them")
    join.add_argument("stores", nargs="+", metavar="STORE[:SPLIT]", help="stores, each with the split that says its test side")
    join.add_argument("--out", type=Path, required=True, help="the folder of the joined store")
    join.add_argument("--overwrite", action="store_true", help="replace an existing store")
    join.add_argument(
        "--vocabulary",
        default="everyday",
        metavar="NAME",
        help="the packaged names of known sets' classes (everyday); none: as they are",
    )
    join.add_argument(
        "--class-map",
        action="append",
        default=[],
        metavar="SET=FILE",
        help="lines `label: class` for the set of that name, or `label: -` to leave its clips out; repeatable",
    )
    join.add_argument("--people", type=int, default=1, help="the most people of a clip; those who move most are taken (1)")


def run(parsed: argparse.Namespace) -> None:
    from poseglot.app.formatting.join import joined_text
    from poseglot.data.adapt import read_class_map
    from poseglot.data.join import Part, join_stores, packaged_class_map
    from poseglot.data.store import open_store

    opened = [(open_store(path), split) for path, split in map(_path_and_split, parsed.stores)]
    given = {}
    for entry in parsed.class_map:
        name, equals, file = entry.partition("=")
        if not equals:
            raise SettingError(f"--class-map {entry}: expected SET=FILE, such as mine=map.txt.")
        if name not in (names := [store.info.name for store, _ in opened]):
            raise NotFoundError(name, names, kind="set")
        given[name] = read_class_map(file)
    parts = []
    for store, split in opened:
        name = store.info.name
        known = {} if parsed.vocabulary == "none" else packaged_class_map(parsed.vocabulary, name)
        known = {label: wanted for label, wanted in known.items() if label in store.classes}
        parts.append(Part(store, split, known | given.get(name, {})))
    joined = join_stores(parts, parsed.out, num_persons=parsed.people, overwrite=parsed.overwrite)
    print(joined_text(joined, parsed.out))


def _path_and_split(given: str) -> tuple[str, str]:
    """Divide STORE:SPLIT; a path may have a colon of its own."""
    path, colon, split = given.rpartition(":")
    return (path, split) if colon and not Path(given).exists() else (given, "")
