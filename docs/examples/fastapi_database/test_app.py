"""Does the service leak? Run with: pytest --memcheck"""

import pytest


@pytest.fixture
def memleak_app(tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'notes.db'}")
    return "app:app"


@pytest.mark.memleak
async def test_notes(memleak_client):
    for _ in range(5):
        created = await memleak_client.post("/notes", params={"text": "buy milk"})
        assert created.status_code == 201
        found = await memleak_client.get(f"/notes/{created.json()['id']}")
        assert found.json() == {"text": "buy milk"}


@pytest.mark.memleak(duration="1h")
async def test_health(memleak_client):
    assert (await memleak_client.get("/health")).status_code == 200
