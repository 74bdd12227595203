"""What the tests of studies share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from poseglot.studies import runner
from tests.conftest import ROOT
from tests.studies.helpers import STAND_IN


@pytest.fixture(scope="module")
def stand_in() -> Iterator[None]:
    """What the processes of a study run, instead of `poseglot`: it learns nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "_PROGRAM", (sys.executable, str(STAND_IN)))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
        yield
