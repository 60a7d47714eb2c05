"""GET /lag: is the group behind, where, why, and when will it be done?"""

from fastapi import APIRouter

from api.problems import NotReady
from api.responses import describe
from api.services import VitalsOf
from schemas.lag import LagReport

router = APIRouter(tags=["lag"])


@router.get("/lag", operation_id="lag", summary="Consumer lag, with its reason", responses=describe(503))
async def lag(vitals: VitalsOf) -> LagReport:
    """The group as it was seen last, a few seconds ago at most; 503 while nothing is known, never an old report.

    Works without the database. Partitions come worst first.
    """
    if vitals.watcher is None:
        raise NotReady("this process does not watch the lag")
    return vitals.watcher.report()
