"""The attack on the readers, in small: a damaged file of any format is read or refused; nothing else happens."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.skipif(sys.platform != "linux", reason="the limits of time and memory are Linux's")
def test_damaged_files_of_every_format(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import attack_readers

    faults = []
    with attack_readers.Victim() as victim:
        for name in attack_readers.kinds():
            tally = attack_readers.attack(name, 40, victim, seed=1, limit=60)
            assert tally.outcomes.total() == 40
            faults += [f"{name} {number}: {outcome}\n{message}" for number, outcome, message in tally.faults]
    assert not faults, "\n".join(faults)


def test_faults_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A reader with a defect, one that never ends, and one that ends its process."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import attack_readers

    from tests import attacked

    with attack_readers.Victim() as victim:
        victim.call(attacked.break_readers, seconds=300)
        for name, outcome in (("npy", "defect"), ("txt", "hang"), ("csv", "crash")):
            tally = attack_readers.Tally()
            found = victim.call(attack_readers.read_batch, name, str(tmp_path), 0, range(1), seconds=3)
            if isinstance(found, str):
                victim.call(attacked.break_readers, seconds=300)
                assert found == outcome
            else:
                tally.outcomes += found[0]
                assert tally.outcomes == {outcome: 1}
