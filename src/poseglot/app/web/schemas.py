"""What goes in and comes out, as a schema: what /openapi.json says, and what is checked before anything is computed."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from poseglot.app.web.limits import Limits

# No skeleton has more joints, no joint more numbers, and no coordinate - metres or pixels - is larger.
MOST_JOINTS, MOST_CHANNELS, LARGEST = 256, 4, 1e6

Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False, strict=True)]


def predict_body(limits: Limits) -> type[BaseModel]:
    """The body of `POST /predict`, as large as the limits allow."""
    joint = Annotated[list[Number], Field(min_length=2, max_length=MOST_CHANNELS)]
    frame = Annotated[list[joint], Field(min_length=1, max_length=MOST_JOINTS)]
    person = Annotated[list[frame], Field(min_length=1, max_length=limits.frames)]
    return create_model(
        "PredictBody",
        __config__=ConfigDict(extra="forbid"),
        joints=(
            Annotated[list[person], Field(min_length=1, max_length=limits.people)],
            Field(
                description="people x frames x joints x coordinates, as the model's skeleton has them; a joint that was not seen is zeros"
            ),
        ),
        model=(str | None, Field(default=None, max_length=200, description="an id of /api/models; by default the first")),
        top=(int, Field(default=5, ge=1, le=1000, strict=True, description="how many answers")),
    )


class ClassScore(BaseModel):
    """A class, and how probable it is."""

    action: str
    probability: float


class Predicted(BaseModel):
    """The most probable actions, best first."""

    model: str
    answers: list[ClassScore]


class OverTime(BaseModel):
    """The same asked of stretches of the clip, `width` frames long each: their middles, and the probabilities of some classes."""

    frames: list[float]
    width: int
    probabilities: dict[str, list[float]]


class Close(BaseModel):
    """How close a level's features are to the words of one class.

    `cosine` of the features and that class's text; `rank` among all classes (1: no class's words are closer); the closest other class.
    """

    sentence: str
    cosine: float
    rank: int
    rival: str
    rival_cosine: float


class Level(BaseModel):
    """An alignment level: a part of the body, or the whole, and its joints."""

    name: str
    color: str
    joints: list[int]


class Words(BaseModel):
    """What the body has to do with the words. `state` other than `ready` says in `note` why there is nothing."""

    state: Literal["ready", "loading", "none", "missing"]
    note: str = ""
    levels: list[Level] = []
    classes: dict[str, list[Close]] = {}


class Seen(BaseModel):
    """What a model makes of a clip; `error` if it cannot take it, `mapped` how its joints were made if the clip has others."""

    model: str
    error: str = ""
    mapped: str = ""
    answers: list[ClassScore] = []
    over_time: OverTime | None = None
    words: Words | None = None


class Drawn(BaseModel):
    """A clip to draw: for each person and frame x, y, z of every joint in thousandths of its extent; null where nothing was seen."""

    people: list[list[list[int | None] | None]]
    frames: int
    flat: bool
    bones: list[tuple[int, int]]
    parts: list[str]


class Looked(BaseModel):
    """A clip and what the models make of it."""

    name: str
    truth: str = ""
    clip: Drawn
    seen: list[Seen]


class ModelInfo(BaseModel):
    """A model that is served. `words` tells whether it can say how close a clip is to the descriptions."""

    id: str
    about: str
    layout: str
    joints: int
    people: int
    channels: int
    classes: list[str]
    words: str
    note: str


class Example(BaseModel):
    """A clip to look at without having one."""

    id: int
    name: str
    label: str
    people: int
    frames: int


class ClipIssue(BaseModel):
    """What was wrong; `where` in the body, if that is known."""

    error: str
    where: list[str] = []


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ClipIssue, "description": why}
    for status, why in {
        400: "the body cannot be read",
        401: "no token, or another one",
        403: "the request comes from a page of another site",
        404: "no such model or example",
        408: "the request took too long to come in",
        413: "larger than the limits",
        422: "not a clip that can be read, or none that the model takes; the message says why",
        429: "too many requests; try again after Retry-After seconds",
        503: "too much to do; try again after Retry-After seconds",
        504: "the answer took too long",
    }.items()
}
