"""The output of `poseglot few-shot`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from poseglot.training.few_shot import FewShotResult
from poseglot.training.run import Run


def few_shot_text(run: Run, results: Sequence[FewShotResult]) -> str:
    """Return a row for each number of examples: mean and standard deviation over draws."""
    unseen = run.class_split.unseen
    clips, others = results[0].unseen.total, results[0].seen.total
    lines = [
        f"{run.folder}: {len(unseen)} classes that were not trained on ({', '.join(unseen)}), {clips} test clips, and {others} of "
        f"{len(run.classes)} trained classes",
        f"  examples  draws  among the new ones, chance {100 / len(unseen):5.1f} %  trained among all  new among all     harmonic mean",
    ]
    for count in dict.fromkeys(result.shots for result in results):
        own = [result for result in results if result.shots == count]
        cells = [
            _mean([result.among_unseen.percent for result in own]),
            _mean([result.seen.percent for result in own]),
            _mean([result.unseen.percent for result in own]),
            _mean([result.harmonic_mean for result in own]),
        ]
        lines.append(f"  {count:8}  {len(own):5}  {cells[0]:34}  {cells[1]:17}  {cells[2]:16}  {cells[3]}")
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread} %"
