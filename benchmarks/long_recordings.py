"""Are actions found in long recordings? Real NW-UCLA clips joined, cut again, and compared with what was joined.

A recording is twelve clips of one person seen by one camera, in random order, no two neighbours of one action. Each is moved so that the
body goes on where it was (joint `spine`), with six frames between (0.2 s at 30 frames a second, which is assumed) that go from pose to
pose in a straight line, half of them counted to either side. Everything that can be chosen - what windows, what penalty - is chosen on
recordings of camera 2 by a recognizer that learned from camera 1 alone (split `inner`); camera 3, the test set, is looked at once.
`--method dense` asks the segmenter of each run, which `poseglot train-segmenter RUN` made of the run's own training clips before. It is
measured as it is by default; how segmenters are trained was chosen on camera 2 as well. The other methods are measured for the first run.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from measuring import machine, table, write_results
from tqdm import tqdm

from poseglot.data.store import PackedStore, open_store
from poseglot.evaluation.segments import BACKGROUND, Matches, edit_score, matches, spans
from poseglot.inference import Predictor
from poseglot.inference.change_points import Piece
from poseglot.inference.dense import DenseAnswers, find_segmenter, segment_densely
from poseglot.inference.segmentation import SegmentConfig
from poseglot.inference.windows import Windows, sliding_windows, window_probabilities
from poseglot.skeletons.layout import load_layout

FPS = 30.0
BETWEEN = 6
LEAST = 12  # frames; shorter clips are left out
OVERLAPS = (10, 25, 50)
WINDOWS: dict[str, list[tuple[float, ...]]] = {
    "whole": [(1.6,), (2.0,)],
    "frames": [(1.0,), (2.0,), (1.0, 2.0)],
}
PENALTIES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5)
LEASTS = (0.4, 0.6)
TOLD, DENSE = "where they were joined (told)", "`--method dense`"
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Recording:
    """Joints (1, T, V, C), labels (T,), the frame behind the last of each clip, and which frames (T,) are of clips learned from, too."""

    joints: npt.NDArray[np.float32]
    labels: Labels
    edges: list[int]
    repeated: npt.NDArray[np.bool_]


class Recognised:
    """What a recognizer says of windows of a recording; each is asked for once."""

    def __init__(self, predictor: Predictor, recording: Recording) -> None:
        self.predictor, self.recording = predictor, recording
        self.known: dict[tuple[int, int], npt.NDArray[np.float64]] = {}

    @cached_property
    def dense(self) -> DenseAnswers:
        """What the run's segmenter says."""
        segmenter = find_segmenter(self.predictor, "dense")
        assert segmenter is not None
        return segment_densely(self.predictor, segmenter, self.recording.joints, fps=FPS)

    def __call__(self, windows: Windows) -> npt.NDArray[np.float64]:
        keys = [(start, end) for start, end in windows.tolist()]
        new = sorted(set(keys) - self.known.keys())
        if new:
            rows = window_probabilities(self.predictor, self.recording.joints, np.array(new))
            self.known |= dict(zip(new, rows, strict=True))
        return np.stack([self.known[key] for key in keys])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="NW-UCLA, as `poseglot prepare` made it")
    parser.add_argument(
        "--runs", type=Path, nargs="+", required=True, help="runs of the split cross-view that differ in their seed"
    )
    parser.add_argument("--inner", type=Path, required=True, help="a run of the split inner")
    parser.add_argument("--recordings", type=int, default=20)
    parser.add_argument("--clips", type=int, default=12, help="in a recording")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the recordings")
    parser.add_argument("--out", type=Path, default=Path("results/long-recordings"))
    given = parser.parse_args()
    store = open_store(given.store)

    inner = Predictor(given.inner, device="cpu", engine="torch")
    joined = make_recordings(store, "inner", given.recordings, given.clips, given.seeds[0])
    said = [Recognised(inner, recording) for recording in tqdm(joined, desc="camera 2")]
    chosen, tried = choose(said)
    print({way: asdict(cutting) for way, cutting in chosen.items()})

    rows: list[dict[str, Any]] = []
    drawn: dict[str, list[Labels]] = {}
    predictors = [Predictor(run, device="cpu", engine="torch") for run in given.runs]
    for seed in given.seeds:
        tested = make_recordings(store, "cross-view", given.recordings, given.clips, seed)
        for run, predictor in zip(given.runs, predictors, strict=True):
            heard = [Recognised(predictor, recording) for recording in tested]
            first = (seed, run) == (given.seeds[0], given.runs[0])
            asked = {name: find for name, find in ways(chosen).items() if first or name in (TOLD, DENSE)}
            found = {name: [find(one) for one in tqdm(heard, desc=f"{run.name}, {name}")] for name, find in asked.items()}
            rows += [
                {"recordings": seed, "run": run.name, "method": name, **measured(of, tested)} for name, of in found.items()
            ]
            drawn = drawn or found
    shown = make_recordings(store, "cross-view", given.recordings, given.clips, given.seeds[0])
    about = {
        "recordings": len(shown), "clips": sum(len(r.edges) for r in shown),
        "minutes": round(sum(len(recording.labels) for recording in shown) / FPS / 60, 2), "seeds": given.seeds,
        "chosen": {way: asdict(cutting) for way, cutting in chosen.items()}, "an hour": an_hour(predictors[0], shown),
    }  # fmt: skip
    text = f"{table(means(rows))}\n{table(rows)}\n{about}\n\n`{machine()['command']}`\n"
    write_results(given.out, "table", text, {"machine": machine(), **about, "rows": rows, "tried": tried})
    draw(shown[:4], {name: labels[:4] for name, labels in drawn.items()}, store.info.classes, given.out / "timeline.png")


def means(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mean over runs, of each method and each seed of the recordings, and how far the runs are apart."""
    result = []
    for seed, method in dict.fromkeys((row["recordings"], row["method"]) for row in rows):
        own = [row for row in rows if (row["recordings"], row["method"]) == (seed, method)]
        averaged = {
            name: round(float(np.mean([row[name] for row in own])), 1) for name in (*(f"F1@{o}" for o in OVERLAPS), "edit")
        }
        scores = [row["F1@50"] for row in own]
        result.append({"recordings": seed, "method": method, "runs": len(own), **averaged, "F1@50 of each": f"{scores}"})
    return result


def an_hour(predictor: Predictor, recordings: Sequence[Recording]) -> dict[str, Any]:
    """What an hour of recording takes `--method dense`, by ten minutes made of these recordings."""
    joints = np.concatenate([recording.joints for recording in recordings], axis=1)
    frames = round(600 * FPS)
    joints = np.tile(joints, (1, -(-frames // joints.shape[1]), 1, 1))[:, :frames]
    segmenter = find_segmenter(predictor, "dense")
    assert segmenter is not None
    wall, cpu = time.perf_counter(), time.process_time()
    cutting = SegmentConfig()
    segment_densely(predictor, segmenter, joints, fps=FPS).pieces(penalty=cutting.penalty, min_duration=cutting.min_duration)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"seconds": round(6 * wall, 1), "processor seconds": round(6 * cpu, 1)}


def make_recordings(store: PackedStore, split: str, count: int, clips: int, seed: int) -> list[Recording]:
    """Recordings of the test set of a split, of people with at least twice as many clips as a recording has."""
    places, learned = store.subset(split, "test"), store.subset(split, "train")
    places = places[store.clips["frames"][places] >= LEAST]
    repeated = set(places[np.isin(store.content_hashes(places), store.content_hashes(learned))].tolist())
    people, counts = np.unique(store.clips["subject"][places], return_counts=True)
    people = people[counts >= 2 * clips]
    centre = load_layout(store.info.layout).centre_index
    made = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        own = rng.permutation(places[store.clips["subject"][places] == rng.choice(people)])
        picked: list[int] = []
        for place in own.tolist():
            if len(picked) < clips and (not picked or store.clips["label"][place] != store.clips["label"][picked[-1]]):
                picked.append(place)
        made.append(join(store, picked, centre, repeated))
    return made


def join(store: PackedStore, picked: Sequence[int], centre: int, repeated: set[int]) -> Recording:
    """Clips end to end, as told at the top of this file."""
    pieces: list[npt.NDArray[np.float32]] = []
    whose: list[int] = []
    for place in picked:
        joints = store[place].joints[0]
        if pieces:
            last = pieces[-1][-1]
            joints = joints + (last[centre] - joints[0, centre])
            weight = (np.arange(1, BETWEEN + 1, dtype=np.float32) / (BETWEEN + 1))[:, None, None]
            pieces.append((1 - weight) * last + weight * joints[0])
            whose += [whose[-1]] * (BETWEEN // 2) + [place] * (BETWEEN - BETWEEN // 2)
        pieces.append(joints)
        whose += [place] * len(joints)
    of = np.array(whose)
    edges = [*(np.flatnonzero(np.diff(of)) + 1).tolist(), len(of)]
    labels = store.clips["label"][of].astype(np.int64)
    return Recording(np.concatenate(pieces)[None], labels, edges, np.isin(of, list(repeated)))


def painted(pieces: Sequence[Piece], frames: int) -> Labels:
    """(T,) labels of the frames."""
    labels = np.full(frames, BACKGROUND)
    for piece in pieces:
        labels[piece.start : piece.end] = piece.label
    return labels


def cut(recognised: Recognised, cutting: SegmentConfig) -> Labels:
    """The frames' labels, as `poseglot segment` finds them for one person."""
    frames = len(recognised.recording.labels)
    if cutting.method == "dense":
        return painted(recognised.dense.pieces(penalty=cutting.penalty, min_duration=cutting.min_duration), frames)
    windows = cutting.candidates(frames, FPS)
    return painted(cutting.pieces(windows, recognised(windows), frames, FPS), frames)


def argmax(recognised: Recognised, window: float) -> Labels:
    """What the window says whose middle is nearest, frame by frame: no smoothing, no change points."""
    frames = len(recognised.recording.labels)
    windows = sliding_windows(frames, round(window * FPS), round(SegmentConfig.stride * FPS))
    nearest = np.abs(np.arange(frames)[:, None] + 0.5 - windows.mean(axis=1)).argmin(axis=1)
    labels: Labels = recognised(windows).argmax(axis=1)[nearest]
    return labels


def oracle(recognised: Recognised) -> Labels:
    """Every clip recognised by itself, cut where it was joined."""
    edges = [0, *recognised.recording.edges]
    windows = np.array(list(itertools.pairwise(edges)))
    return np.repeat(recognised(windows).argmax(axis=1), windows[:, 1] - windows[:, 0])


def ways(chosen: dict[str, SegmentConfig]) -> dict[str, Callable[[Recognised], Labels]]:
    """The rows of the table."""
    return {
        TOLD: oracle,
        "windows of 1 s, the most probable": lambda recognised: argmax(recognised, 1.0),
        "windows of 2 s, the most probable": lambda recognised: argmax(recognised, 2.0),
        **{f"`--method {way}`": partial(cut, cutting=cutting) for way, cutting in chosen.items()},
        DENSE: partial(cut, cutting=replace(SegmentConfig(), method="dense")),
    }


def choose(said: Sequence[Recognised]) -> tuple[dict[str, SegmentConfig], list[dict[str, Any]]]:
    """Of each way, the settings with the highest F1@50; the first of equals."""
    best: dict[str, tuple[float, SegmentConfig]] = {}
    tried = []
    for way, several in WINDOWS.items():
        for windows in tqdm(several, desc=f"choosing: {way}"):
            for least in LEASTS:
                for penalty in PENALTIES:
                    cutting = replace(SegmentConfig(), method=way, windows=windows, min_duration=least, penalty=penalty)
                    result = measured([cut(recognised, cutting) for recognised in said], [r.recording for r in said])
                    tried.append({"way": way, "windows": windows, "least": least, "penalty": penalty, **result})
                    if way not in best or result["F1@50"] > best[way][0]:
                        best[way] = (result["F1@50"], cutting)
    return {way: cutting for way, (_, cutting) in best.items()}, tried


def measured(found: Sequence[Labels], recordings: Sequence[Recording]) -> dict[str, Any]:
    """F1 (counts of all recordings added up), edit score (their mean), and frames, of all clips and of those that were not learned from."""
    counted = {overlap: Matches() for overlap in OVERLAPS}
    edits, right, own = [], [], []
    for labels, recording in zip(found, recordings, strict=True):
        ours, theirs = spans(labels), spans(recording.labels)
        counted = {overlap: sum_ + matches(ours, theirs, overlap / 100) for overlap, sum_ in counted.items()}
        edits.append(edit_score(ours, theirs))
        right.append(labels == recording.labels)
        own.append(~recording.repeated)
    correct, kept = np.concatenate(right), np.concatenate(own)
    total = counted[OVERLAPS[0]]
    return {
        **{f"F1@{overlap}": round(sum_.f1, 1) for overlap, sum_ in counted.items()},
        "edit": round(float(np.mean(edits)), 1),
        "frames": f"{correct.sum()}/{len(correct)} = {100 * correct.mean():.1f} %",
        "frames not learned from": f"{correct[kept].sum()}/{kept.sum()} = {100 * correct[kept].mean():.1f} %"
        if kept.any()
        else "none",
        "segments found / true": f"{total.true_positives + total.false_positives}/{total.true_positives + total.false_negatives}",
    }


def draw(recordings: Sequence[Recording], found: dict[str, list[Labels]], classes: Sequence[str], path: Path) -> None:
    """A band for the truth and for each way, of each recording."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.patches import Patch

    colors = plt.get_cmap("tab10").colors  # type: ignore[attr-defined]
    names = ["truth", *found]
    figure, axes = plt.subplots(len(recordings), figsize=(11, 1.9 * len(recordings)), squeeze=False, layout="constrained")
    for number, (axis, recording) in enumerate(zip(axes[:, 0], recordings, strict=True)):
        for row, labels in enumerate([recording.labels, *(of[number] for of in found.values())]):
            for span in spans(labels):
                place = (span.start / FPS, (span.end - span.start) / FPS)
                axis.broken_barh([place], (row - 0.4, 0.8), color=colors[span.label % 10], edgecolor="white", linewidth=0.8)
        axis.set_yticks(range(len(names)), [name.replace("`", "") for name in names], fontsize=8)
        axis.set_xlim(0, len(recording.labels) / FPS)
        axis.invert_yaxis()
        axis.tick_params(axis="x", labelsize=8)
        for subset in ("top", "right", "left"):
            axis.spines[subset].set_visible(False)
    axes[-1, 0].set_xlabel("seconds", fontsize=9)
    figure.legend(
        handles=[Patch(color=colors[number % 10], label=name) for number, name in enumerate(classes)],
        loc="outside lower center", ncols=5, fontsize=8, frameon=False,
    )  # fmt: skip
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
