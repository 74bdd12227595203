"""The numbers of docs/nw-ucla.md, recomputed from a published model's scores and the packaged list of repeated clips."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from poseglot.data.benchmarks import load_benchmark
from tests.docs.blocks import PAGES

FUSED = {"joint": 0.6, "bone": 0.6, "joint_motion": 0.4, "bone_motion": 0.4}


def test_the_table_of_a_published_model(shared: Path) -> None:
    scores = np.load(shared / "golden" / "nwucla_scores.npz")
    copies = np.isin(scores["names"], load_benchmark("nw-ucla").splits["cross-view-clean"]["test"]["excluded"])
    assert copies.sum() == 95
    logits = {modality: scores[modality] for modality in FUSED}
    logits["fused"] = sum(weight * scores[modality] for modality, weight in FUSED.items())
    rows = re.findall(
        r"^\| (joint motion|bone motion|joint|bone|fused)[^|]*\|([^|]*)\|([^|]*)\|([^|]*)\|$", PAGES["docs/nw-ucla.md"], re.M
    )
    assert [row[0].replace(" ", "_") for row in rows] == list(logits)
    for name, *cells in rows:
        correct = logits[name.replace(" ", "_")].argmax(axis=1) == scores["label"]
        every, clean = correct.sum(), correct[~copies].sum()
        expected = [f"{every} = {100 * every / 464:.2f} %", str(correct[copies].sum()), f"{clean} = {100 * clean / 369:.2f} %"]
        assert [cell.strip() for cell in cells] == expected
