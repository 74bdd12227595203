"""`poseglot prepare`: data sets, and users' own files, into packed stores."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from poseglot.app.commands.dataset_options import add_dataset_options, custom_dataset, print_prepared
from poseglot.app.commands.register import AddCommand
from poseglot.errors import InputError, SettingError

_DESCRIPTION = """Check a data set and pack it into a store.

  demo            the built-in synthetic set; no source
  nw-ucla         all_sqe.zip, or its folder
  ntu60, ntu120   nturgbd_skeletons_s001_to_s017.zip (and s018_to_s032 for ntu120), not unpacked, or folders of .skeleton files
  pyskl           a .pkl of PYSKL or MMAction2
  npz             an .npz of CTR-GCN (NTU60_CS.npz)
  st-gcn          a folder of arrays (N, C, T, V, M) with their label pickles
  csv             long form: clip, frame, person, joint, x, y[, z][, score]
  npy, mat, txt, long-csv, poses, ...
                  a folder (or a zip) of files, one clip each: in a sub-folder per class, with telling names (--names), or listed in
                  clips.csv; txt: tables of numbers; poses: files of `poseglot extract-poses`
  openpose, alphapose, coco, mmpose, ultralytics, ultralytics-txt, mediapipe, mediapipe-csv, rtmlib, movenet, deeplabcut, deeplabcut-csv,
  sleap, azure-kinect, zed, kinect-v2, bvh, amc, trc, c3d, motive
                  such a folder of what these programs write (a clip may be a folder with a file for each frame)

Clips that cannot be read are listed at the end and in OUT/preparation.json, and the exit status is 1; all others are stored. Repeat the
command to resume an interrupted preparation of NTU RGB+D."""


def add(command: AddCommand) -> None:
    prepare = command("prepare", run, "check a data set and pack it into a store")
    prepare.formatter_class = argparse.RawDescriptionHelpFormatter
    prepare.description = _DESCRIPTION
    prepare.add_argument("name", help="the kind of data, see above")
    prepare.add_argument("--source", type=Path, nargs="+", help="zips, files or folders")
    prepare.add_argument("--out", type=Path, required=True, help="the folder of the store")
    prepare.add_argument("--overwrite", action="store_true", help="replace an existing store")
    prepare.add_argument("--dtype", choices=["float32", "float16"], default="float32", help="float16 halves the space")
    prepare.add_argument("--workers", type=int, help="processes that read ntu60 and ntu120 (default: one per core)")
    add_dataset_options(prepare)


def run(parsed: argparse.Namespace) -> None:
    from tqdm import tqdm

    from poseglot.data.prepare import prepare
    from poseglot.data.store import REPORT_FILE

    workers = _cores() if parsed.workers is None else parsed.workers
    if workers < 1:
        raise SettingError(f"--workers must be at least 1, not {workers}.")
    with tqdm(unit=" clips", desc=f"packing {parsed.name}", disable=not sys.stderr.isatty()) as bar:
        prepared = prepare(
            parsed.name,
            source=parsed.source,
            out=parsed.out,
            overwrite=parsed.overwrite,
            custom=custom_dataset(parsed, parsed.out.name),
            dtype=parsed.dtype,
            workers=workers,
            bar=bar,
        )
    print_prepared(parsed.out, prepared)
    if prepared.issues:
        raise InputError(
            f"{len(prepared.issues):,} {'issue' if len(prepared.issues) == 1 else 'issues'}; everything else is stored. All are listed in "
            f"{parsed.out / REPORT_FILE}."
        )


def _cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
