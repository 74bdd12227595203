"""Everything that can be said of a store at once: summary, findings, and clips that are in both subsets of a split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from poseglot.data.quality.checks import CHECKS, Finding, check_clips
from poseglot.data.quality.statistics import typical_body
from poseglot.data.quality.summary import summarize, trained_and_tested
from poseglot.data.store import PackedStore


@dataclass(frozen=True)
class StoreInspection:
    """The result of `inspect_store`.

    Attributes:
        summary: What the store holds, as `summarize`, and `body`, the size of a typical body.
        findings: The clips that are worth a look.
        trained_and_tested: Split -> names of test clips whose content is in the training set, too.
    """

    summary: Mapping[str, Any]
    findings: list[Finding]
    trained_and_tested: Mapping[str, list[str]]

    def table(self) -> dict[str, Any]:
        """Return all of it, and the checks, as plain values for JSON."""
        return {
            **self.summary,
            "findings": [asdict(finding) for finding in self.findings],
            "checks": {name: asdict(check) for name, check in CHECKS.items()},
            "trained_and_tested": dict(self.trained_and_tested),
        }


def inspect_store(store: PackedStore) -> StoreInspection:
    """Summarize a store and check its clips and splits."""
    findings = check_clips(store)
    overlap = {
        split: trained_and_tested(store, split, findings)
        for split, subsets in store.info.splits.items()
        if {"train", "test"} <= set(subsets)
    }
    return StoreInspection({**summarize(store), "body": typical_body(store)}, findings, overlap)
