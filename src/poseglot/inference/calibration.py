"""The temperature of a run: `calibration.json`, written by `poseglot calibrate` beside the recognizer it is for.

    {"temperature": 1.31, "how": "...", "clips": 1020, "bins": 15, "ece": [before, after], "nll": [before, after],
     "runs": ["runs/fold1", ...], "recognizer": "SHA-256 of recognizer.safetensors"}

The numbers but the temperature are there for people to read.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from poseglot.errors import PoseglotError
from poseglot.files import sha256_of, write_atomically

CALIBRATION_FILE = "calibration.json"


@dataclass(frozen=True)
class Calibration:
    """Attributes:
    temperature: logits are divided by it before they become probabilities.
    how: it was found, in words. runs: that it was found on.
    clips: how many that was. bins: of the expected calibration error.
    ece, nll: (before, after) on those clips.
    recognizer: SHA-256 of the file that it is for.
    """

    temperature: float
    how: str
    clips: int
    bins: int
    ece: tuple[float, float]
    nll: tuple[float, float]
    runs: tuple[str, ...]
    recognizer: str

    def write(self, run: Path) -> Path:
        """Write it into a run's folder; returns the file."""
        path = run / CALIBRATION_FILE
        write_atomically(path, json.dumps(asdict(self), indent=1) + "\n")
        return path


def temperature_of(recognizer: Path) -> float | None:
    """The temperature beside a recognizer's file; None if there is none.

    Raises:
        PoseglotError: there is one, but of another recognizer, or it cannot be read.
    """
    path = recognizer.parent / CALIBRATION_FILE
    remedy = "Run `poseglot calibrate` again, or delete it."
    try:
        table = json.loads(path.read_bytes())
        temperature, made_for = float(table["temperature"]), table["recognizer"]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PoseglotError(f"could not read {path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise PoseglotError(f"{path} is no calibration ({type(error).__name__}: {error}). {remedy}") from error
    if not (math.isfinite(temperature) and temperature > 0):
        raise PoseglotError(f"{path} has the temperature {temperature}; it must be above 0. {remedy}")
    if made_for != sha256_of(recognizer):
        raise PoseglotError(f"{path} was made for another recognizer than {recognizer} is now. {remedy}")
    return temperature
