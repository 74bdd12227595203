"""`poseglot predict --engine local` and `--engine ray`: an archive, shard by shard, into a folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    from poseglot.inference.batch import BatchResult

ENGINES = ("local", "ray")
SHARD_SIZE = 1024


def add(predict: argparse.ArgumentParser) -> None:
    group = predict.add_argument_group("archives", "with --engine local or ray; see docs/batch.md")
    group.add_argument("--out", type=Path, metavar="FOLDER", help="where the answers go, a file for each shard")
    group.add_argument("--shard-size", type=int, default=SHARD_SIZE, metavar="N", help=f"clips in a shard ({SHARD_SIZE})")
    group.add_argument(
        "--ray-address", metavar="ADDRESS", help="of a Ray cluster, or auto; by default one of this machine is started"
    )
    group.add_argument("--workers", type=int, metavar="N", help="of Ray, at most; by default one for each CPU, or GPU")


def run(parsed: argparse.Namespace, files_of: Callable[[list[Path]], list[Path]]) -> None:
    """Answer for an archive.

    Args:
        files_of: replaces folders by the clips in them.

    Raises:
        PoseglotError: what was given does not go together, or as `poseglot.inference.batch`.
    """
    _check(parsed)
    from tqdm import tqdm

    from poseglot.data.readers import is_video
    from poseglot.data.store import is_store
    from poseglot.inference.batch import BatchJob, answer_here, count_answers, make_shards, opened

    given = _listed(parsed.clips)
    stores = [path for path in given if is_store(path)]
    files = [path for path in given if path not in stores]
    found = files_of(files)
    if videos := [path for path in found if is_video(path)]:
        # What would find the people in them is another thing on another machine.
        raise PoseglotError(
            f"an archive holds clips, and {videos[0]} is a video ({len(videos)} of them): make clips of them with `poseglot extract-poses` first."
        )
    shards = make_shards(stores, found, size=parsed.shard_size)
    if not shards:
        raise PoseglotError("there is no clip to answer for: what was given is empty.")
    job = BatchJob(
        run=str(parsed.run.absolute()), out=str(parsed.out.absolute()), top=parsed.top, threshold=parsed.threshold,
        layout=_absolute(parsed.layout), device=parsed.device,
    )  # fmt: skip
    clips = sum(shard.clips for shard in shards)
    with opened(job, shards) as todo:
        before = clips - sum(shard.clips for shard in todo)
        if before:
            print(f"{before:,} of {clips:,} clips were done before.", file=sys.stderr)
        if parsed.engine == "ray":
            from poseglot.inference.batch_ray import answer_on_ray

            results = answer_on_ray(job, todo, address=parsed.ray_address, workers=parsed.workers)
        else:
            results = answer_here(job, todo)
        mapped: dict[str, None] = {}
        with tqdm(total=clips, initial=before, unit="clip", disable=None) as bar:
            for shard, done in results:
                bar.update(shard.clips)
                mapped |= dict.fromkeys(sorted(done.mapped))
        total = count_answers(job, shards)
    for said in mapped:
        print(f"mapped: {said}", file=sys.stderr)
    _report(parsed.out, clips, total)
    if total.errors == clips:
        raise PoseglotError("not one clip could be taken.")


def _report(out: Path, clips: int, total: BatchResult) -> None:
    noun = "clip" if clips == 1 else "clips"
    print(
        f"{clips:,} {noun}: {total.answered:,} answered for, {total.errors:,} that could not be taken; in {out}/shard-*.jsonl"
    )
    if total.errors:
        print('Lines with "error" say why; a shard whose file is deleted is done again by the same command.', file=sys.stderr)


def check_none(parsed: argparse.Namespace) -> None:
    """See that nothing was asked of an archive where there is none.

    Raises:
        PoseglotError: something was.
    """
    options = {"--out": parsed.out, "--ray-address": parsed.ray_address, "--workers": parsed.workers}
    if said := [name for name, value in options.items() if value is not None]:
        raise PoseglotError(
            f"{' and '.join(said)} {'is' if len(said) == 1 else 'are'} for archives, with --engine local or ray."
        )


def _check(parsed: argparse.Namespace) -> None:
    if parsed.out is None:
        raise PoseglotError(f"--engine {parsed.engine} writes its answers into a folder: name it with --out.")
    if parsed.json or parsed.add_class or parsed.add_class_descriptions or parsed.add_class_bias:
        raise PoseglotError(
            f"--json, --add-class, --add-class-descriptions and --add-class-bias do not go with --engine {parsed.engine}."
        )
    if parsed.pose != "auto" or parsed.pose_models:
        raise PoseglotError(
            f"--pose and --pose-models do not go with --engine {parsed.engine}: `poseglot extract-poses` makes clips of videos first."
        )
    if parsed.engine != "ray" and (parsed.ray_address or parsed.workers is not None):
        raise PoseglotError("--ray-address and --workers are for --engine ray.")
    if parsed.workers is not None and parsed.workers < 1:
        raise PoseglotError(f"at least one worker is needed, not {parsed.workers}.")


def _listed(given: Sequence[Path]) -> list[Path]:
    """Lists, which begin with @, replaced by the paths in them, one a line; a relative one is as for the command.

    Raises:
        PoseglotError: a list cannot be read.
    """
    from poseglot.app.commands.register import read_text

    paths: list[Path] = []
    for path in given:
        if str(path).startswith("@"):
            lines = read_text(Path(str(path)[1:]), "list of clips").splitlines()
            paths += [Path(line.strip()) for line in lines if line.strip()]
        else:
            paths.append(path)
    return paths


def _absolute(layout: str | None) -> str | None:
    """A layout's file by its whole path, as a worker may be in another folder."""
    return str(Path(layout).absolute()) if layout and layout.endswith((".yaml", ".yml")) else layout
