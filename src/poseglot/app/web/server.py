"""The application: the page, and what it and other programs ask of the models.

    GET  /                              the page; /static/ its files
    GET  /api/models, limits   the models, the limits of requests
    GET  /api/endings, layouts   the endings and the layouts of uploads
    GET  /api/examples                  clips to look at; /api/examples/{id} the models' results for one
    POST /clips                         the models' results for an uploaded file
    POST /predict                       the most probable actions of joints in JSON
    GET  /healthz, /metrics             health; metrics in Prometheus's form
    GET  /openapi.json                  all of this, described

An unacceptable request is answered by a `Problem` with a 4xx status; 500 is a defect of the server.
"""

# No postponed annotations: FastAPI reads the types of functions whose schema depends on the limits.
import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from fastapi import FastAPI, File, Form, HTTPException, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.staticfiles import StaticFiles

from poseglot import __version__
from poseglot.app.action_lists import split_names
from poseglot.app.web import schemas
from poseglot.app.web.bodies import SMALL, read_body
from poseglot.app.web.drawing import draw_clip
from poseglot.app.web.examples import find_examples
from poseglot.app.web.limits import Limits, TooLargeError, check_actions
from poseglot.app.web.metrics import Metrics
from poseglot.app.web.middleware import RequestMiddleware
from poseglot.app.web.service import ModelService
from poseglot.app.web.upload import ENDINGS, read_upload
from poseglot.app.web.worker import BusyError, Job, Worker
from poseglot.child import ChildError
from poseglot.errors import InputError, PoseglotError
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import Layout, list_layouts, load_layout

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_logger = logging.getLogger(__name__)
_ACTIONS = "recognise among these actions alone, divided by commas; empty: the model's own"
_BODY = "#/components/schemas/PredictBody"
STATIC = Path(str(resources.files("poseglot.app.web") / "static"))


class AsciiJSONResponse(JSONResponse):
    """JSON in ASCII, so that any character of a request can be echoed."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()


def create_app(
    services: Sequence[ModelService],
    *,
    limits: Limits | None = None,
    token: str | None = None,
    hosts: Sequence[str] = LOOPBACK,
) -> FastAPI:
    """Return the application for some models.

    Args:
        services: The models, at least one; the first is the default.
        limits: The limits of requests.
        token: The token of requests, or None.
        hosts: The host names of the server; empty for any.
    """
    limits = limits or Limits()
    by_id = {service.id: service for service in services}
    first = services[0]
    examples = find_examples(first.path, first.spec, first.layout, any_layout=first.predictor.any_layout)
    layouts = [name for name in list_layouts() if any(service.can_map(load_layout(name)) for service in services)]
    most_numbers = limits.people * limits.frames * max(len(service.layout) * service.spec.channels for service in services)
    worker = Worker(limits)
    metrics = Metrics({("poseglot_busy", "Requests that are computed or wait for it."): lambda: worker.busy})

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        for service in services:
            threading.Thread(target=service.load_texts, daemon=True).start()
        yield
        await asyncio.to_thread(worker.close)

    app = FastAPI(
        title="Poseglot",
        version=__version__,
        summary="Skeleton clips in, actions out.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's documentation pages load scripts from other sites
        redoc_url=None,
        default_response_class=AsciiJSONResponse,
    )
    app.add_middleware(RequestMiddleware, limits=limits, metrics=metrics, token=token, hosts=hosts)
    _handle_errors(app)

    async def compute(request: Request, work: Callable[[Job], dict[str, Any]]) -> Response:
        # Large results are written as JSON in the thread, too.
        host = request.client.host if request.client else ""
        return await worker.do(lambda job: AsciiJSONResponse(work(job)), client=host)

    def clip_result(job: Job, clip: Clip, layout: Layout, *, actions: Sequence[str], truth: str = "") -> dict[str, Any]:
        drawn, results = draw_clip(clip, layout), []
        for service in services:
            job.check()
            results.append(service.result(clip, layout, actions))
        return {"name": clip.name, "truth": truth, "clip": drawn, "results": results}

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/healthz", summary="health", response_model=dict[str, str])
    async def healthz() -> Response:
        return AsciiJSONResponse({"status": "ok", "version": __version__})

    @app.get("/metrics", summary="metrics in Prometheus's text form", response_class=PlainTextResponse)
    async def metrics_text() -> Response:
        return PlainTextResponse(metrics.text())

    @app.get("/api/models", summary="the models", response_model=list[schemas.ModelInfo])
    async def list_models() -> Response:
        return AsciiJSONResponse([service.info() for service in services])

    @app.get("/api/limits", summary="the limits of requests", response_model=dict[str, float])
    async def list_limits() -> Response:
        return AsciiJSONResponse(vars(limits))

    @app.get("/api/endings", summary="the endings of files that can be uploaded", response_model=list[str])
    async def list_endings() -> Response:
        return AsciiJSONResponse(ENDINGS)

    @app.get("/api/layouts", summary="the layouts that an uploaded file may have", response_model=list[str])
    async def list_upload_layouts() -> Response:
        return AsciiJSONResponse(layouts)

    @app.get("/api/examples", summary="clips to look at", response_model=list[schemas.Example])
    async def list_examples() -> Response:
        return AsciiJSONResponse([example.info(id) for id, example in enumerate(examples)])

    @app.get(
        "/api/examples/{id}",
        summary="the models' results for an example",
        response_model=schemas.ClipResult,
        responses=schemas.REFUSALS,
    )
    async def example_result(request: Request, id: int, actions: Annotated[str, Query(description=_ACTIONS)] = "") -> Response:
        if not 0 <= id < len(examples):
            raise HTTPException(404, "there is no such example; /api/examples lists them.")
        example, among = examples[id], _among(actions)
        return await compute(
            request, lambda job: clip_result(job, example.clip, example.layout, actions=among, truth=example.label)
        )

    @app.post(
        "/clips",
        summary="the models' results for a file of any format that Poseglot reads",
        response_model=schemas.ClipResult,
        responses=schemas.REFUSALS,
    )
    async def file_result(
        request: Request,
        file: Annotated[UploadFile, File(description="a clip; the ending of its name tells its format")],
        layout: Annotated[
            str, Form(max_length=100, description="the layout of its joints; empty: the file's or the model's")
        ] = "",
        scale: Annotated[float | None, Form(gt=0, allow_inf_nan=False, description="a factor on the coordinates")] = None,
        up: Annotated[str, Form(max_length=10, description="the axis that points up in the file, as z; or auto")] = "",
        columns: Annotated[str, Form(max_length=100, description="the numbers of a joint to read, as 1-3; or all")] = "",
        scored: Annotated[bool, Form(description="the last number of a joint is its confidence")] = False,
        skip: Annotated[int | None, Form(ge=0, description="numbers to skip at the beginning of a table's rows")] = None,
        dim_order: Annotated[str, Form(max_length=20, description="the axes of arrays, as v,c,t; or auto")] = "",
        actions: Annotated[str, Form(description=_ACTIONS)] = "",
    ) -> Response:
        """Read the file as the models' training clips were read, unless the fields say otherwise."""
        if layout and layout not in layouts:
            raise HTTPException(404, "there is no such layout; /api/layouts lists them.")
        said = {"scale": scale, "up": up, "columns": columns, "skip": skip, "dim_order": dim_order}
        said |= {"has_scores": True} if scored else {}
        # As on the command line, `all` and `auto` stand for the defaults where training had something else.
        given = {name: None if value in ("all", "auto") else value for name, value in said.items() if value not in (None, "")}
        read = partial(
            read_upload,
            file.filename or "",
            await file.read(),
            formats=[service.format.read_with(given) for service in services],
            limits=limits,
            layout=load_layout(layout) if layout else None,
        )
        among = _among(actions)
        return await compute(request, lambda job: clip_result(job, *job.in_child(read), actions=among))

    @app.post(
        "/predict",
        summary="the most probable actions of a clip",
        response_model=schemas.PredictResult,
        responses=schemas.REFUSALS,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": _BODY}}}}},
    )
    async def predict(request: Request) -> Response:
        if not request.headers.get("content-type", "").lower().startswith("application/json"):
            raise InputError("the body must be JSON, and its content-type application/json.")
        content = await request.body()

        def work(job: Job) -> dict[str, Any]:
            read = read_body if len(content) <= SMALL else partial(job.in_child, read_body)
            body = read(content, limits, most_numbers)
            service = by_id.get(body.model or first.id)
            if service is None:
                raise HTTPException(404, "there is no such model; /api/models lists them.")
            return {"model": service.id, "scores": service.scores(_clip(body.joints, service), body.top, body.actions)}

        return await compute(request, work)

    describe = app.openapi

    def openapi() -> dict[str, Any]:
        described = describe()
        described["components"]["schemas"]["PredictBody"] = schemas.predict_body(limits).model_json_schema()
        return described

    app.openapi = openapi  # type: ignore[method-assign]
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def _among(actions: str) -> list[str]:
    """Return the actions to recognise among; none for the model's own.

    Raises:
        TooLargeError: There are too many, or they are too long.
    """
    names = split_names(actions)
    check_actions(names)
    return names


def _clip(array: npt.NDArray[np.float32], service: ModelService) -> Clip:
    """Return the clip of a body for a model.

    Raises:
        InputError: Its sizes are not the model's.
    """
    if array.shape[2] != len(service.layout):
        raise InputError(
            f"joints: {array.shape[2]} in a frame, but the layout of {service.id} ({service.layout.name}) has {len(service.layout)}."
        )
    if array.shape[3] != service.spec.channels:
        raise InputError(f"joints: {array.shape[3]} numbers each, but {service.id} takes {service.spec.channels}.")
    return Clip(array, name="the clip", has_scores=service.spec.has_scores)


def _handle_errors(app: FastAPI) -> None:
    """Answer every error by a `Problem`, without the input, which may be large or not a number."""

    def problem(status: int, message: str, where: Sequence[str] = (), headers: dict[str, str] | None = None) -> Response:
        return AsciiJSONResponse({"error": message, "where": list(where)}, status_code=status, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        one = error.errors()[0]
        where = [ascii(key)[:80].strip("'") for key in one["loc"]]
        return problem(422, f"{'.'.join(where)}: {ascii(one['msg'])[1:-1]}", where)

    @app.exception_handler(StarletteHTTPException)
    async def refused(request: Request, error: StarletteHTTPException) -> Response:
        return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    @app.exception_handler(TooLargeError)
    async def too_large(request: Request, error: TooLargeError) -> Response:
        return problem(413, str(error))

    @app.exception_handler(PoseglotError)
    async def unacceptable(request: Request, error: PoseglotError) -> Response:
        return problem(422, str(error))

    @app.exception_handler(BusyError)
    async def busy(request: Request, error: BusyError) -> Response:
        return problem(503, "too many requests are waiting; try again in a moment.", headers={"retry-after": "1"})

    @app.exception_handler(TimeoutError)
    async def late(request: Request, error: TimeoutError) -> Response:
        return problem(504, "the result took too long; send a shorter clip, or try again later.")

    @app.exception_handler(ChildError)
    async def unreadable(request: Request, error: ChildError) -> Response:
        _logger.error("a reader has a defect:\n%s", error)
        return problem(422, "the file cannot be read; the server's log says more.")

    @app.exception_handler(Exception)
    async def defect(request: Request, error: Exception) -> Response:
        return problem(500, "this is a defect of the server; its log says more.")
