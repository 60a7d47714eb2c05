"""GET /scores: stored scores by filter, in pages, or one by its event id."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from api.addresses import RESERVED
from api.problems import AmbiguousEvent, InvalidParameter, NotFound
from api.responses import describe
from api.services import Services, ServicesOf, VitalsOf
from api.waiting import WaitSeconds, arrival, while_connected
from schemas.scores import Order, Score, ScoreFilter, ScorePage
from store.cursors import InvalidCursor

router = APIRouter(tags=["scores"])


class ScoresQuery(ScoreFilter):
    """Parameters of GET /scores."""

    order: Order = "newest"
    limit: int = Field(default=100, ge=1, le=1000, description="most items of the page")
    cursor: str | None = Field(default=None, description="next_cursor of the page before")
    wait_s: WaitSeconds = 0.0

    @field_validator("since", "until", mode="before")
    @classmethod
    def _plus_survives(cls, value: object) -> object:
        # An unescaped + in a URL means a space: 2025-06-01T12:00:00+02:00 arrives with one.
        if isinstance(value, str) and len(value) > 6 and value[-6] == " ":
            return f"{value[:-6]}+{value[-5:]}"
        return value

    def where(self) -> ScoreFilter:
        return ScoreFilter(**{name: getattr(self, name) for name in ScoreFilter.model_fields})


class ScoreQuery(BaseModel):
    """Parameters of GET /scores/{event_id}."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    source: str | None = None
    model_version: str | None = Field(default=None, description="default: the newest")
    wait_s: WaitSeconds = 0.0


@router.get(
    "/scores",
    operation_id="list_scores",
    summary="Find scores",
    response_description="A page; the header Link has the address of the next one",
    responses=describe(422, 503),
)
async def find_scores(
    request: Request,
    response: Response,
    services: ServicesOf,
    vitals: VitalsOf,
    query: Annotated[ScoresQuery, Query()],
) -> ScorePage:
    """All conditions hold at once; `since` <= scored_at < `until`. With `event_id` and `wait_s` the answer waits
    until there is one: for ids with a slash, or equal to a word under /scores/."""
    if query.wait_s and query.event_id is None:
        raise InvalidParameter(f"wait_s={query.wait_s:g} needs event_id: only one event can be waited for")

    async def ask() -> ScorePage | None:
        page = await _page(services, query)
        return page if page.items else None

    wait_s = min(query.wait_s, services.settings.max_wait_s)
    page = await while_connected(request, arrival(services.store, ask, wait_s, vitals.stopping)) or ScorePage(items=[])
    if page.next_cursor is not None:
        again = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        response.headers["Link"] = f'</scores?{urlencode([*again, ("cursor", page.next_cursor)])}>; rel="next"'
    return page


@router.get(
    "/scores/{event_id}",
    operation_id="get_score",
    summary="The score of one event",
    responses=describe(404, 409, 422, 503),
)
async def get_score(
    request: Request,
    event_id: Annotated[str, Path()],
    services: ServicesOf,
    vitals: VitalsOf,
    query: Annotated[ScoreQuery, Query()],
) -> Score:
    """Of the newest model version that scored it, unless `model_version` names one. With `wait_s` the answer waits
    for an event that is not scored yet. Ids with a slash, and the words summary, export and stream, are asked for
    with GET /scores?event_id=..."""
    if event_id in RESERVED:
        raise NotFound(f"/scores/{event_id} is no score: for an event of that id ask GET /scores?event_id={event_id}")

    async def ask() -> list[Score] | None:
        return await services.store.find(event_id, query.source, query.model_version) or None

    wait_s = min(query.wait_s, services.settings.max_wait_s)
    found = await while_connected(request, arrival(services.store, ask, wait_s, vitals.stopping))
    if not found:
        raise NotFound(_missing(event_id, query))
    if len(found) > 1:
        sources = sorted(score.source for score in found)
        raise AmbiguousEvent(f"{len(sources)} sources have an event {event_id!r}: add ?source=", sources=sources)
    return found[0]


async def _page(services: Services, query: ScoresQuery) -> ScorePage:
    try:
        return await services.store.page(query.where(), order=query.order, limit=query.limit, cursor=query.cursor)
    except InvalidCursor as error:
        raise InvalidParameter(str(error)) from error


def _missing(event_id: str, query: ScoreQuery) -> str:
    of = f" of source {query.source!r}" if query.source is not None else ""
    by = f" by {query.model_version!r}" if query.model_version is not None else ""
    return f"no score{by} for the event {event_id!r}{of}: it is not scored yet, was dead-lettered, or never came"
