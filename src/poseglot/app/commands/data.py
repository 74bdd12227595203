"""`poseglot prepare` and `poseglot export-clip`: data sets to packed stores, and one clip out of a store."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from poseglot.app.commands.register import AddCommand
from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    from poseglot.skeletons.clip import Clip


def add(command: AddCommand) -> None:
    prepare = command("prepare", _prepare, "check and pack a data set")
    prepare.add_argument("name", help="nw-ucla, or demo (the built-in synthetic set)")
    prepare.add_argument("--source", type=Path, help="the zip that people download, or the folder in it")
    prepare.add_argument("--out", type=Path, required=True, help="folder for the packed store")
    prepare.add_argument("--overwrite", action="store_true", help="replace an existing store")

    export = command("export-clip", _export_clip, "write one clip of a store to a .npy file")
    export.add_argument("store", type=Path)
    export.add_argument("clip", help="its name")
    export.add_argument("--out", type=Path, required=True)


def _prepare(parsed: argparse.Namespace) -> None:
    from tqdm import tqdm

    from poseglot.skeletons.prepare import prepare

    def progress(clips: Iterable[Clip]) -> Iterable[Clip]:
        return tqdm(clips, unit=" clips", desc=f"packing {parsed.name}", disable=not sys.stderr.isatty())

    made = prepare(parsed.name, source=parsed.source, out=parsed.out, overwrite=parsed.overwrite, progress=progress)
    store = made.store
    print(
        f"{parsed.out}: {len(store):,} clips ({', '.join(f'{count:,} {side}' for side, count in made.counts.items())}), "
        f"{len(store.joints):,} frames, {len(store.info.classes)} classes, layout {store.info.layout}, {made.seconds:.1f} s"
    )
    if made.incomplete:
        print(f"note: {made.incomplete}")


def _export_clip(parsed: argparse.Namespace) -> None:
    from poseglot.files import write_atomically
    from poseglot.skeletons.store import open_store

    store = open_store(parsed.store)
    places = np.flatnonzero(store.clips["name"] == parsed.clip)
    if not len(places):
        raise PoseglotError(f"{parsed.store} has no clip named {parsed.clip!r}; the first is {store.clips['name'][0]}.")
    clip = store.clip(int(places[0]))
    if parsed.out.suffix != ".npy":
        raise PoseglotError(f"--out must end in .npy, not {parsed.out.name}.")
    buffer = io.BytesIO()
    np.save(buffer, clip.joints, allow_pickle=False)
    write_atomically(parsed.out, buffer.getvalue())
    true = store.info.classes[clip.label] if clip.label >= 0 else "unknown"
    print(f"{parsed.out}: {clip.name}, {clip.joints.shape[1]} frames, true action: {true}")
