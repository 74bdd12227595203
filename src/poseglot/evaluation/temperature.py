"""The temperature of a run: `calibration.json`, which `poseglot calibrate` writes beside the recognizer.

    {"temperature": 1.31, "how": "...", "clips": 1020, "bins": 15, "ece": [before, after], "nll": [before, after],
     "runs": ["runs/fold1", ...], "recognizer": "SHA-256 of recognizer.safetensors"}

Only the temperature and the hash are read back; the other values are for people.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from poseglot.errors import FileError
from poseglot.files import sha256_of, write_atomically

CALIBRATION_FILE = "calibration.json"


@dataclass(frozen=True)
class Calibration:
    """A temperature and what it was fitted on.

    Attributes:
        temperature: Logits are divided by it before the softmax.
        how: How it was found, in words.
        clips: The number of clips that it was fitted on.
        bins: The number of bins of the expected calibration error.
        ece, nll: The expected calibration error and the negative log-likelihood on those clips, (before, after).
        runs: The runs that held those clips out.
        recognizer: The SHA-256 of the recognizer's file.
    """

    temperature: float
    how: str
    clips: int
    bins: int
    ece: tuple[float, float]
    nll: tuple[float, float]
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
    recognizer = Path(recognizer)
    path = recognizer.parent / CALIBRATION_FILE
    remedy = "Run `poseglot calibrate` again, or delete the file."
    try:
        table = json.loads(path.read_bytes())
        temperature, made_for = float(table["temperature"]), table["recognizer"]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileError(f"could not read {path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FileError(f"{path} is not a calibration file ({type(error).__name__}: {error}). {remedy}") from error
    if not (math.isfinite(temperature) and temperature > 0):
        raise FileError(f"{path} has the temperature {temperature}; it must be above 0. {remedy}")
    if made_for != sha256_of(recognizer):
        raise FileError(f"{path} was made for another recognizer than {recognizer}. {remedy}")
    return temperature
