"""The body of `POST /predict`: JSON text becomes joints, a model's name and a number of actions.

Large bodies are read in a child (`poseglot.child`). So this file imports neither torch nor the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError

from poseglot.app.web.limits import Limits, TooLargeError, check_size
from poseglot.app.web.schemas import predict_body
from poseglot.errors import InputError

# Smaller bodies are read without a child: that takes a millisecond.
SMALL = 64 * 2**10


@dataclass(frozen=True, eq=False)
class PredictBody:
    """The content of a body: joints (M, T, V, C) float32, the model and the actions that were asked for, and the number of scores."""

    joints: npt.NDArray[np.float32]
    model: str | None
    actions: tuple[str, ...]
    top: int


def read_body(content: bytes, limits: Limits, numbers: int) -> PredictBody:
    """Read a body.

    Args:
        content: JSON text.
        limits: The limits of the server.
        numbers: The most numbers that a clip may have.

    Raises:
        TooLargeError: There are more numbers, people or frames.
        InputError: The text is not JSON, or does not fit the schema; the message says where.
    """
    if content.count(b",") >= 2 * numbers or content.count(b"[") >= 2 * numbers:
        raise TooLargeError(f"the body has too many numbers; a clip of these models has at most {numbers:,}.")
    try:
        body: Any = _schema(limits).model_validate_json(content)
    except ValidationError as error:
        one = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(ascii(key)[:80].strip("'") for key in one["loc"])
        raise InputError(f"{where or 'body'}: {ascii(one['msg'])[1:-1]}") from error
    shapes = {(len(person), len(frame), len(joint)) for person in body.joints for frame in person for joint in frame}
    if len(shapes) != 1:
        raise InputError(
            "joints: all people must have the same number of frames, all frames the same number of joints, and all joints the same number "
            "of coordinates."
        )
    check_size(limits, people=len(body.joints), frames=len(body.joints[0]))
    return PredictBody(np.array(body.joints, dtype=np.float32), body.model, tuple(body.actions), body.top)


@cache
def _schema(limits: Limits) -> type[BaseModel]:
    return predict_body(limits)
