"""`poseglot export-clip`: one clip of a store as a .npy file."""

from __future__ import annotations

import argparse
from pathlib import Path

from poseglot.app.commands.register import AddCommand
from poseglot.errors import NotFoundError, SettingError


def add(command: AddCommand) -> None:
    export = command("export-clip", run, "write one clip of a store to a .npy file")
    export.add_argument("store", type=Path, help="the store's folder")
    export.add_argument("clip", help="the clip's name")
    export.add_argument("--out", type=Path, required=True, help="the .npy file to write")


def run(parsed: argparse.Namespace) -> None:
    import io

    import numpy as np

    from poseglot.data.store import open_store
    from poseglot.files import write_atomically

    store = open_store(parsed.store)
    names = list(map(str, store.clips["name"]))
    if parsed.clip not in names:
        raise NotFoundError(parsed.clip, names[:3], kind="clip")
    if parsed.out.suffix != ".npy":
        raise SettingError(f"--out must end in .npy, not {parsed.out.name}.")
    clip = store[names.index(parsed.clip)]
    buffer = io.BytesIO()
    np.save(buffer, clip.joints, allow_pickle=False)
    write_atomically(parsed.out, buffer.getvalue())
    label = store.info.classes[clip.label] if clip.label >= 0 else "unknown"
    print(f"{parsed.out}: {clip.name}, {clip.joints.shape[1]} frames, true action: {label}")
