"""The documents work without internet and describe what is really served."""

import re

import httpx
import pytest
from fastapi import FastAPI

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_pages_refer_to_no_other_host(client: httpx.AsyncClient, page: str) -> None:
    text = (await client.get(page)).text
    assert not re.search(r"""(?:["'(=]|^)\s*(?:https?:)?//""", text)
    assets = re.findall(r"""(?:src|href)="(/[^"]+)""", text)
    assert len(assets) >= 2
    for asset in assets:
        answer = await client.get(asset)
        assert answer.status_code == 200, asset
        assert len(answer.content) > 100


async def test_home_leads_to_the_docs(client: httpx.AsyncClient) -> None:
    answer = await client.get("/", follow_redirects=True)
    assert answer.url.path == "/docs"


async def test_schema_is_complete(client: httpx.AsyncClient, app: FastAPI) -> None:
    schema = (await client.get("/openapi.json")).json()
    operations = {name: op for path in schema["paths"].values() for name, op in path.items()}
    ids = [op["operationId"] for path in schema["paths"].values() for op in path.values()]
    assert {"predict", "predict_batch", "publish_event", "list_scores", "get_score", "readyz"} <= set(ids)
    assert len(set(ids)) == len(ids)
    assert operations
    body = schema["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert set(body) == {"multipart/form-data", "image/*", "application/json"}
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            for status, answer in operation["responses"].items():
                if status[0] in "45":
                    assert list(answer["content"]) == ["application/problem+json"], (method, path, status)


async def test_every_reference_in_the_schema_leads_somewhere(client: httpx.AsyncClient) -> None:
    answer = await client.get("/openapi.json")
    known = set(answer.json()["components"]["schemas"])
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', answer.text)) <= known
    assert "#/$defs" not in answer.text
