"""Request and response bodies: what /openapi.json describes, and what is checked before anything is computed."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, StringConstraints, create_model

from poseglot.app.web.limits import MAX_ACTION_LENGTH, MAX_ACTIONS, MAX_JOINTS, Limits

# Beyond any joint and coordinate, in metres or pixels.
MAX_CHANNELS, MAX_COORDINATE = 4, 1e6

Number = Annotated[float, Field(ge=-MAX_COORDINATE, le=MAX_COORDINATE, allow_inf_nan=False, strict=True)]


def predict_body(limits: Limits) -> type[BaseModel]:
    """Return the body of `POST /predict`, with sizes up to the limits."""
    # FailFast: an error of each of a million numbers would take minutes.
    joint = Annotated[list[Number], FailFast(), Field(min_length=2, max_length=MAX_CHANNELS)]
    frame = Annotated[list[joint], FailFast(), Field(min_length=1, max_length=MAX_JOINTS)]
    action = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_ACTION_LENGTH)]
    actions = Annotated[list[action], FailFast(), Field(min_length=2, max_length=MAX_ACTIONS)]
    person = Annotated[list[frame], FailFast(), Field(min_length=1, max_length=limits.frames)]
    return create_model(
        "PredictBody",
        __config__=ConfigDict(extra="forbid"),
        joints=(
            Annotated[list[person], FailFast(), Field(min_length=1, max_length=limits.people)],
            Field(
                description="people x frames x joints x coordinates, in the model's layout; a joint that was not seen is zeros"
            ),
        ),
        model=(str | None, Field(default=None, max_length=200, description="an id of /api/models; by default the first")),
        actions=(
            actions,
            Field(default_factory=list, description="recognise among these actions alone, trained ones or any by their texts"),
        ),
        top=(int, Field(default=5, ge=1, le=1000, strict=True, description="the number of actions")),
    )


class ClassScore(BaseModel):
    """A class and its probability."""

    action: str
    probability: float


class PredictResult(BaseModel):
    """The most probable actions, best first."""

    model: str
    scores: list[ClassScore]


class OverTime(BaseModel):
    """Probabilities in windows of `width` frames: the windows' middles, and the classes that are best overall or in some window."""

    frames: list[float]
    width: int
    probabilities: dict[str, list[float]]


class SegmentResult(BaseModel):
    """An action of a person (0: of all together) from frame `start` to before frame `end`."""

    start: int
    end: int
    action: str
    score: float
    person: int


class Timeline(BaseModel):
    """What is done in a long recording, by person, then by time, and a remark on how it was found."""

    segments: list[SegmentResult]
    note: str = ""


class TextMatch(BaseModel):
    """How well a level's features fit the text of one class.

    `cosine` is that of the features and the text's; `rank` is the class's among all (1: the best fit); `other` is the best other class.
    """

    sentence: str
    cosine: float
    rank: int
    other: str
    other_cosine: float


class Level(BaseModel):
    """An alignment level (a part of the body, or the whole) and its joints."""

    name: str
    color: str
    joints: list[int]


class TextResult(BaseModel):
    """How the body fits the texts. If `state` is not `ready`, `note` says why."""

    state: Literal["ready", "loading", "none", "missing"]
    note: str = ""
    levels: list[Level] = []
    classes: dict[str, list[TextMatch]] = {}


class ModelResult(BaseModel):
    """A model's result for a clip.

    `error` says why it cannot take it; `actions` are those that were asked for, and `notes` remarks on them; `mapped` is how its joints
    were made from another layout's; `warnings` are what of its coordinates is unlike the training clips.
    """

    model: str
    error: str = ""
    actions: list[str] = []
    notes: list[str] = []
    mapped: str = ""
    warnings: list[str] = []
    scores: list[ClassScore] = []
    over_time: OverTime | None = None
    timeline: Timeline | None = None
    text: TextResult | None = None


class ClipDrawing(BaseModel):
    """A clip to draw: per person and frame x (right), y (up), z (to the viewer) of each joint in thousandths of its extent, or null."""

    people: list[list[list[int | None] | None]]
    frames: int
    num_dims: Literal[2, 3]
    bones: list[tuple[int, int]]
    parts: list[str]


class ClipResult(BaseModel):
    """A clip and the models' results."""

    name: str
    truth: str = ""
    clip: ClipDrawing
    results: list[ModelResult]


class ModelInfo(BaseModel):
    """A model that is served; `text` is the state of its texts."""

    id: str
    about: str
    layout: str
    joints: int
    num_persons: int
    channels: int
    classes: list[str]
    text: str
    note: str


class Example(BaseModel):
    """A clip to look at; `synthetic` if it was generated, not recorded."""

    id: int
    name: str
    label: str
    num_persons: int
    frames: int
    synthetic: bool


class Problem(BaseModel):
    """An error, and `where` in the body it is, if that is known."""

    error: str
    where: list[str] = []


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": reason}
    for status, reason in {
        400: "the body cannot be read",
        401: "no token, or a wrong one",
        403: "the request comes from a page of another site",
        404: "no such model or example",
        408: "the request took too long to arrive",
        413: "larger than the limits",
        422: "not a clip that can be read, or none that the model takes; the message says why",
        429: "too many requests; try again after Retry-After seconds",
        503: "too busy; try again after Retry-After seconds",
        504: "the result took too long",
    }.items()
}
