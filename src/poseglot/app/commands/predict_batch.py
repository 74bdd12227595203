"""`poseglot predict --engine local` and `--engine ray`: archives, in shards, into a folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from poseglot.app.commands.reading_options import reading
from poseglot.app.commands.register import notes, read_lines
from poseglot.errors import InputError, SettingError

ENGINES = ("local", "ray")
SHARD_SIZE = 1024


def add(predict: argparse.ArgumentParser) -> None:
    group = predict.add_argument_group("batch inference", "with --engine local or ray; see docs/batch.md")
    group.add_argument("--out", type=Path, metavar="FOLDER", help="the folder of the results, a file for each shard")
    group.add_argument("--shard-size", type=int, default=SHARD_SIZE, metavar="N", help=f"clips in a shard ({SHARD_SIZE})")
    group.add_argument("--ray-address", metavar="ADDRESS", help="of a Ray cluster, or auto (default: a local one is started)")
    group.add_argument("--workers", type=int, metavar="N", help="the largest number of Ray workers (one per CPU, or GPU)")


def run(parsed: argparse.Namespace) -> None:
    """Predict an archive."""
    _check(parsed)
    from tqdm import tqdm

    from poseglot.data.readers import is_video
    from poseglot.data.store import is_store
    from poseglot.inference.batch import BatchJob, count_results, make_shards, open_batch, predict_locally
    from poseglot.inference.inputs import expand_folders
    from poseglot.models.pretrained import find_recognizer

    given = _expand_lists(parsed.clips)
    stores = [path for path in given if is_store(path)]
    with notes():
        files = expand_folders([path for path in given if path not in stores])
    if videos := [path for path in files if is_video(path)]:
        # A pose estimator may give other joints on another machine.
        raise InputError(
            f"batches take clips, and {videos[0]} is a video ({len(videos)} in all); use `poseglot extract-poses` first."
        )
    shards = make_shards(stores, files, size=parsed.shard_size)
    if not shards:
        raise InputError("there is no clip to predict.")
    layout = parsed.layout and (
        str(Path(parsed.layout).absolute()) if parsed.layout.endswith((".yaml", ".yml")) else parsed.layout
    )
    job = BatchJob(
        run=str(find_recognizer(parsed.run).absolute()), out=str(parsed.out.absolute()), top=parsed.top,
        threshold=parsed.threshold, layout=layout, device=parsed.device, reading=reading(parsed),
    )  # fmt: skip
    clips = sum(shard.clips for shard in shards)
    mapped: dict[str, None] = {}
    with open_batch(job, shards) as remaining:
        finished = clips - sum(shard.clips for shard in remaining)
        if finished:
            print(f"resuming: {finished:,} of {clips:,} clips are done.", file=sys.stderr)
        if parsed.engine == "ray":
            from poseglot.inference.batch_ray import predict_on_ray

            results = predict_on_ray(job, remaining, address=parsed.ray_address, workers=parsed.workers)
        else:
            results = predict_locally(job, remaining)
        with tqdm(total=clips, initial=finished, unit="clip", disable=None) as bar:
            for shard, counts in results:
                bar.update(shard.clips)
                mapped |= dict.fromkeys(sorted(counts.mapped))
        total = count_results(job, shards)
    for report in mapped:
        print(f"mapped: {report}", file=sys.stderr)
    noun = "clip" if clips == 1 else "clips"
    print(f"{clips:,} {noun}: {total.predicted:,} predicted, {total.failed:,} failed; in {parsed.out}/shard-*.jsonl")
    if total.warned:
        print(f'{total.warned:,} {noun} unlike the training clips; "warnings" in their lines say how.', file=sys.stderr)
    if total.failed:
        print('Lines with "error" say why. To redo a shard, delete its file and repeat the command.', file=sys.stderr)
    if total.failed == clips:
        raise InputError("no clip could be predicted.")


def refuse_batch_options(parsed: argparse.Namespace) -> None:
    """Refuse the options of batches without a batch engine.

    Raises:
        SettingError: One was given.
    """
    options = {"--out": parsed.out, "--ray-address": parsed.ray_address, "--workers": parsed.workers}
    if given := [name for name, value in options.items() if value is not None]:
        raise SettingError(f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} for --engine local or ray.")


def _check(parsed: argparse.Namespace) -> None:
    engine = f"--engine {parsed.engine}"
    if parsed.out is None:
        raise SettingError(f"{engine} writes into a folder: name it with --out.")
    alone = ("json", "add_class", "add_class_descriptions", "add_class_bias", "examples", "coverage", "actions")
    if given := [f"--{name.replace('_', '-')}" for name in alone if getattr(parsed, name)]:
        raise SettingError(f"these options do not go with {engine}: {', '.join(given)}.")
    if parsed.pose != "auto" or parsed.pose_models:
        raise SettingError(f"--pose and --pose-models do not go with {engine}; use `poseglot extract-poses` first.")
    if parsed.engine != "ray" and (parsed.ray_address or parsed.workers is not None):
        raise SettingError("--ray-address and --workers are for --engine ray.")
    if parsed.workers is not None and parsed.workers < 1:
        raise SettingError(f"--workers is at least 1, not {parsed.workers}.")


def _expand_lists(given: Sequence[Path]) -> list[Path]:
    """Replace lists (@FILE) by the paths in them, one per line, relative to the current folder."""
    paths: list[Path] = []
    for path in given:
        is_list = str(path).startswith("@")
        paths += map(Path, read_lines(Path(str(path)[1:]), "list of clips")) if is_list else [path]
    return paths
