"""The application: the page, and what it and other programs ask of the models.

    GET  /                      the page, /static/ what it loads
    GET  /api/models, /limits   what is served, and what a request may be
    GET  /api/examples          clips to look at, /api/examples/{id} what the models make of one
    POST /clips                 the same for an uploaded file
    POST /predict               the most probable actions of joints in JSON
    GET  /healthz, /metrics     alive; numbers in Prometheus's form
    GET  /openapi.json          all of this, described

Whatever is wrong with a request is a `Fault` with a status that says whose matter it is; 500 is a defect of ours.
"""

# No postponed annotations here: FastAPI reads the types of functions that are made when the limits are known.
import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, File, HTTPException, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.staticfiles import StaticFiles

from poseglot import __version__
from poseglot.app.web import schemas
from poseglot.app.web.drawing import drawn
from poseglot.app.web.examples import examples, listed
from poseglot.app.web.limits import Limits, TooLargeError, check_size
from poseglot.app.web.metrics import Numbers
from poseglot.app.web.middleware import Guard
from poseglot.app.web.service import Served
from poseglot.app.web.upload import read_upload
from poseglot.app.web.worker import BusyError, Worker
from poseglot.errors import PoseglotError
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import Layout

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
STATIC = Path(str(resources.files("poseglot.app.web") / "static"))


class Plain(JSONResponse):
    """JSON that is always ASCII: whatever a request held can be said again."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()


def create_app(
    models: Sequence[Served], *, limits: Limits | None = None, token: str | None = None, names: Sequence[str] = LOOPBACK
) -> FastAPI:
    """The application for some models.

    Args:
        models: at least one; an upload's joints are named by its format, or by the first of them that it can be read for.
        limits: of requests.
        token: that requests must know, or None.
        names: that the server may be called by; empty for any.
    """
    limits = limits or Limits()
    by_id = {model.id: model for model in models}
    first = models[0]
    shown = examples(first.path, first.spec, first.layout)
    worker = Worker(limits)
    numbers = Numbers({("poseglot_busy", "Requests that are computed or wait for it."): lambda: worker.busy})

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        for model in models:
            threading.Thread(target=model.load_words, daemon=True).start()
        yield
        await asyncio.to_thread(worker.close)

    app = FastAPI(
        title="Poseglot",
        version=__version__,
        summary="Skeleton clips in, actions out.",
        lifespan=life,
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
        default_response_class=Plain,
    )
    app.add_middleware(Guard, limits=limits, numbers=numbers, token=token, names=names)
    _say_faults_alike(app)

    async def compute(work: Callable[[], dict[str, Any]]) -> Response:
        return Plain(await worker.do(work))

    def looked(clip: Clip, layout: Layout, truth: str = "") -> dict[str, Any]:
        return {
            "name": clip.name,
            "truth": truth,
            "clip": drawn(clip, layout),
            "seen": [model.look(clip, layout) for model in models],
        }

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/healthz", summary="alive", response_model=dict[str, str])
    async def healthz() -> Response:
        return Plain({"status": "ok", "version": __version__})

    @app.get("/metrics", summary="numbers in Prometheus's text form", response_class=PlainTextResponse)
    async def metrics() -> Response:
        return PlainTextResponse(numbers.text())

    @app.get("/api/models", summary="the models that are served", response_model=list[schemas.ModelInfo])
    async def list_models() -> Response:
        return Plain([model.info() for model in models])

    @app.get("/api/limits", summary="what a request may be at most", response_model=dict[str, float])
    async def list_limits() -> Response:
        return Plain(vars(limits))

    @app.get("/api/examples", summary="clips to look at", response_model=list[schemas.Example])
    async def list_examples() -> Response:
        return Plain(listed(shown))

    @app.get(
        "/api/examples/{id}",
        summary="what the models make of an example",
        response_model=schemas.Looked,
        responses=schemas.REFUSALS,
    )
    async def look_at_example(id: int) -> Response:
        if not 0 <= id < len(shown):
            raise HTTPException(404, "there is no such example; /api/examples lists them.")
        clip, label = shown[id]
        return await compute(partial(looked, clip, first.layout, label))

    @app.post(
        "/clips",
        summary="what the models make of a file of any format that Poseglot reads",
        response_model=schemas.Looked,
        responses=schemas.REFUSALS,
    )
    async def look_at_file(
        file: Annotated[UploadFile, File(description="a clip; its name's ending says its format")],
    ) -> Response:
        content = await file.read()
        read = partial(read_upload, file.filename or "", content, takers=[model.taker for model in models], limits=limits)
        return await compute(lambda: looked(*read()))

    body = schemas.predict_body(limits)

    async def predict(asked: Any) -> Response:
        model = by_id.get(asked.model or first.id)
        if model is None:
            raise HTTPException(404, "there is no such model; /api/models lists them.")

        def answer() -> dict[str, Any]:
            clip = _clip(asked.joints, model, limits)
            return {"model": model.id, "answers": model.answers(clip, asked.top)}

        return await compute(answer)

    predict.__annotations__["asked"] = body
    app.post(
        "/predict", summary="the most probable actions of a clip", response_model=schemas.Predicted, responses=schemas.REFUSALS
    )(predict)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def _clip(joints: list[Any], model: Served, limits: Limits) -> Clip:
    """A clip from a body that fits the schema, which does not say that every frame has as many joints as the others.

    Raises:
        PoseglotError: it has not.
    """
    shapes = {(len(person), len(frame), len(joint)) for person in joints for frame in person for joint in frame}
    if len(shapes) != 1:
        raise PoseglotError(
            "joints: every person must have the same number of frames, every frame the same number of joints, and every joint the same "
            "number of coordinates."
        )
    check_size(limits, people=len(joints), frames=len(joints[0]))
    array = np.array(joints, dtype=np.float32)
    if array.shape[2] != len(model.layout):
        raise PoseglotError(
            f"joints: {array.shape[2]} in a frame, but {model.id}'s skeleton ({model.layout.name}) has {len(model.layout)}."
        )
    if array.shape[3] != model.spec.channels:
        raise PoseglotError(f"joints: {array.shape[3]} numbers each, but {model.id} takes {model.spec.channels}.")
    return Clip(array, name="the clip", has_scores=model.spec.has_scores)


def _say_faults_alike(app: FastAPI) -> None:
    """Every fault as `{"error": ..., "where": [...]}`, without what came: it may be large, or no number."""

    def fault(status: int, message: str, where: Sequence[str] = (), headers: dict[str, str] | None = None) -> Response:
        return Plain({"error": message, "where": list(where)}, status_code=status, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        one = error.errors()[0]
        where = [ascii(place)[:80].strip("'") for place in one["loc"]]
        return fault(422, f"{'.'.join(where)}: {ascii(one['msg'])[1:-1]}", where)

    @app.exception_handler(StarletteHTTPException)
    async def refused(request: Request, error: StarletteHTTPException) -> Response:
        return fault(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    @app.exception_handler(TooLargeError)
    async def too_large(request: Request, error: TooLargeError) -> Response:
        return fault(413, str(error))

    @app.exception_handler(PoseglotError)
    async def unacceptable(request: Request, error: PoseglotError) -> Response:
        return fault(422, str(error))

    @app.exception_handler(BusyError)
    async def busy(request: Request, error: BusyError) -> Response:
        return fault(503, "too much is waiting to be computed; try again in a moment.", headers={"retry-after": "1"})

    @app.exception_handler(TimeoutError)
    async def late(request: Request, error: TimeoutError) -> Response:
        return fault(504, "the answer took too long; send a shorter clip, or try again when there is less to do.")

    @app.exception_handler(Exception)
    async def defect(request: Request, error: Exception) -> Response:
        return fault(500, "this is a defect of ours; the server's log has it.")
