"""The routes, in OpenAI's words: the door to FastAPI."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from assistant.errors import AssistantError
from assistant.serving.engine import Answered
from assistant.serving.guard import Guard, fault
from assistant.serving.keys import Keys
from assistant.serving.models import choose, described, model_ids
from assistant.serving.problems import Problem, problem_of
from assistant.serving.replies import DONE, Reply, event
from assistant.serving.service import Service
from assistant.serving.wire import ChatRequest, EmbeddingRequest, M, read

LOG = logging.getLogger("assistant.serving")
ROUTES = (
    "POST /v1/chat/completions, POST /v1/embeddings, GET /v1/models, GET, POST and DELETE "
    "/v1/files, GET /health and GET /metrics"
)
PURPOSES = ("user_data", "vision", "assistants")  # of OpenAI's; files are looked at, whatever it is
STREAM = "text/event-stream"


def owner_of(request: Request) -> str:
    """As `Guard` found."""
    return request.state.owner


Owner = Annotated[str, Depends(owner_of)]


def build(service: Service, keys: Keys, hosts: tuple[str, ...] = ()) -> Guard:
    """The server's app.

    Args:
        keys: that are taken. hosts: names under which it is asked; (): any.
    """
    app = FastAPI(openapi_url=None)  # whose pages would be fetched from elsewhere
    assistant, files = service.assistant, service.files

    @app.exception_handler(Exception)
    @app.exception_handler(AssistantError)
    @app.exception_handler(Problem)
    async def refuse(_: Request, error: Exception) -> JSONResponse:
        return Guard.refuse(problem_of(error))

    @app.exception_handler(HTTPException)
    async def refuse_route(_: Request, error: HTTPException) -> JSONResponse:
        told = f"there is {ROUTES}" if error.status_code in (404, 405) else error.detail
        problem = Problem(error.status_code, told, code="unknown_url")
        return JSONResponse(problem.as_dict(), error.status_code, error.headers)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "model": assistant.name}

    @app.get("/metrics")
    async def metrics() -> Response:
        content, kind = service.metrics.text()
        return Response(content, media_type=kind)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        found = [described(one, service.started) for one in model_ids(assistant.name)]
        return {"object": "list", "data": found}

    @app.get("/v1/models/{model:path}")
    async def model(model: str) -> dict[str, Any]:
        choose(model, None, assistant.name)
        return described(model, service.started)

    @app.post("/v1/chat/completions")
    async def chat(request: Request, owner: Owner) -> Response:
        asked = await _read(ChatRequest, request)
        told = service.chat(asked, owner, request.is_disconnected)
        reply = await anext(told)  # what is wrong shows before the response begins
        assert isinstance(reply, Reply)
        if asked.stream:
            first = await anext(told)
            usage = asked.stream_options is not None and asked.stream_options.include_usage
            return StreamingResponse(
                _events(reply, first, told, bool(usage)),
                media_type=STREAM,
                headers={"X-Accel-Buffering": "no"},
            )
        async with aclosing(told):
            async for piece in told:
                if isinstance(piece, Answered):
                    return JSONResponse(reply.whole(piece))
        raise AssertionError("an answer ends with the whole of it")

    @app.post("/v1/embeddings")
    async def embeddings(request: Request, owner: Owner) -> dict[str, Any]:
        asked = await _read(EmbeddingRequest, request)
        vectors = await service.embed(asked, owner)
        packed = asked.encoding_format == "base64"
        found = [
            base64.b64encode(row.astype("<f4").tobytes()).decode() if packed else row.tolist()
            for row in vectors
        ]
        data = [
            {"object": "embedding", "index": place, "embedding": one}
            for place, one in enumerate(found)
        ]
        # tokens are not counted
        return {"object": "list", "data": data, "model": asked.model, "usage": None}

    @app.post("/v1/files")
    async def upload(request: Request, owner: Owner) -> dict[str, Any]:
        async with request.form(max_files=1, max_fields=2) as form:
            unknown = form.keys() - {"file", "purpose"}
            if unknown:
                raise Problem(400, f"{min(unknown)[:60]!r} is no field that is read; leave it out")
            given, purpose = form.get("file"), form.get("purpose")
            if not isinstance(given, UploadFile):
                raise Problem(400, "there is no file; send it as the form's field file")
            if purpose not in PURPOSES:
                wanted = " or ".join(PURPOSES)
                raise Problem(400, f"purpose is to be {wanted}", param="purpose")
            stored = await run_in_threadpool(
                service.keep, owner, given.filename or "", purpose, given.size or 0, given.file
            )
        return stored.as_dict()

    @app.get("/v1/files")
    async def stored(owner: Owner) -> dict[str, Any]:
        found = [one.as_dict() for one in files.of(owner)]
        return {"object": "list", "data": found, "has_more": False}

    @app.get("/v1/files/{key}")
    async def file(key: str, owner: Owner) -> dict[str, Any]:
        return files.find(owner, key).as_dict()

    @app.delete("/v1/files/{key}")
    async def delete(key: str, owner: Owner) -> dict[str, Any]:
        files.delete(owner, key)
        return {"id": key, "object": "file", "deleted": True}

    return Guard(app, keys, hosts, service.limits, service.metrics)


async def _read(kind: type[M], request: Request) -> M:
    """A request's body. Raises Problem: it is no JSON of that kind."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != "application/json":  # what else a page of another site could send unasked
        raise Problem(415, "send JSON, with Content-Type: application/json")
    return await run_in_threadpool(read, kind, await request.body())


async def _events(
    reply: Reply, first: Any, told: AsyncGenerator[Any], usage: bool
) -> AsyncIterator[str]:
    """A stream's events; what goes wrong in its middle is the last one."""
    yield reply.first()
    try:
        piece = first
        while not isinstance(piece, Answered):
            yield reply.piece(piece)
            piece = await anext(told)
        yield reply.last(piece)
        if usage:
            yield reply.usage()
        yield DONE
    except Exception as error:
        problem = problem_of(error)
        if problem.status == 500:
            LOG.error(json.dumps(fault(error)))
        yield event(problem.as_dict())
    finally:
        await told.aclose()
