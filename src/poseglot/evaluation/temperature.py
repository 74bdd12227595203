"""The calibration of a run: `calibration.json`, which `poseglot calibrate` writes beside the recognizer.

    {"temperature": 1.31, "how": "...", "interval": [1.12, 1.47], "groups": 10, "unit": "people", "clips": 1020,
     "ece": [before, after], ..., "set_thresholds": {"0.9": 0.21, ...}, "runs": ["runs/fold1", ...],
     "recognizer": "SHA-256 of recognizer.safetensors"}

The temperature, the thresholds and the hash are read back; the other values are for people.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from poseglot.errors import FileError, SettingError
from poseglot.files import sha256_of, write_atomically

CALIBRATION_FILE = "calibration.json"
COVERAGES = (0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Calibration:
    """A temperature and what it was fitted on.

    Attributes:
        temperature: Logits are divided by it before the softmax.
        how: How it was found, in words.
        unsupported_reason: Why the fitted temperature is not used, so that it is 1; empty if it is used.
        interval: The 95 % interval of the fitted temperature over groups of clips.
        groups: The number of groups that were held out.
        unit: What the groups are: people, or clips where people are not known.
        clips: The number of clips that it was fitted on.
        bins: The number of bins of the expected calibration error.
        ece, nll, brier: The expected calibration error, the negative log-likelihood and the Brier score on those clips, (before, after).
        nll_of_left_out: The negative log-likelihood (before, after) if the temperature is fitted without the group of a clip.
        set_thresholds: Coverage -> the lowest probability of a class in a conformal set (`evaluation.conformal`).
        set_coverage: Coverage -> clips whose set holds their class, of all, with the threshold of the other groups' clips.
        runs: The runs that held those clips out.
        recognizer: The SHA-256 of the recognizer's file.
    """

    temperature: float
    how: str
    unsupported_reason: str
    interval: tuple[float, float]
    groups: int
    unit: str
    clips: int
    bins: int
    ece: tuple[float, float]
    nll: tuple[float, float]
    nll_of_left_out: tuple[float, float]
    brier: tuple[float, float]
    set_thresholds: Mapping[str, float]
    set_coverage: Mapping[str, tuple[int, int]]
    runs: tuple[str, ...]
    recognizer: str

    def write(self, folder: str | Path) -> Path:
        """Write `calibration.json` into a run's folder and return its path."""
        path = Path(folder) / CALIBRATION_FILE
        write_atomically(path, json.dumps(asdict(self), indent=1) + "\n")
        return path


def temperature_of(recognizer: str | Path) -> float | None:
    """Return the temperature from the `calibration.json` beside a recognizer's file; None without such a file.

    Raises:
        FileError: The file cannot be read, or was made for another recognizer.
    """
    table = _read(Path(recognizer))
    if table is None:
        return None
    temperature: float = table["temperature"]
    return temperature


def set_thresholds_of(recognizer: str | Path) -> Mapping[float, float]:
    """Return coverage -> threshold of conformal sets from the `calibration.json` beside a recognizer's file; empty without such a file.

    Raises:
        FileError: The file cannot be read, or was made for another recognizer.
    """
    table = _read(Path(recognizer))
    return {} if table is None else dict(table["set_thresholds"])


def set_threshold_of(recognizer: str | Path, coverage: float) -> float:
    """Return the threshold of conformal sets with one coverage.

    Raises:
        SettingError: The run was not calibrated, or not for this coverage.
        FileError: As `set_thresholds_of`.
    """
    thresholds = set_thresholds_of(recognizer)
    if not thresholds:
        raise SettingError(
            f"sets with a stated coverage need a calibrated run; run `poseglot calibrate {Path(recognizer).parent} FOLDS`."
        )
    if coverage not in thresholds:
        raise SettingError(f"coverage is one of {', '.join(map(str, thresholds))}, not {coverage}.")
    return thresholds[coverage]


def _read(recognizer: Path) -> dict[str, Any] | None:
    path = recognizer.parent / CALIBRATION_FILE
    remedy = "Run `poseglot calibrate` again, or delete the file."
    try:
        table = json.loads(path.read_bytes())
        table["temperature"] = float(table["temperature"])
        table["set_thresholds"] = {float(key): float(value) for key, value in table.get("set_thresholds", {}).items()}
        made_for = table["recognizer"]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileError(f"could not read {path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError(f"{path} is not a calibration file ({type(error).__name__}: {error}). {remedy}") from error
    if not (math.isfinite(table["temperature"]) and table["temperature"] > 0):
        raise FileError(f"{path} has the temperature {table['temperature']}; it must be above 0. {remedy}")
    if made_for != sha256_of(recognizer):
        raise FileError(f"{path} was made for another recognizer than {recognizer}. {remedy}")
    found: dict[str, Any] = table
    return found
