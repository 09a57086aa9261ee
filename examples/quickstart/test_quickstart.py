"""Which endpoint leaks? Run with: pytest --memcheck"""

import pytest
from app import app


@pytest.fixture
def memleak_app():
    return app


@pytest.mark.memleak
async def test_healthy(memleak_client):
    for _ in range(10):  # ten requests in each simulated minute
        response = await memleak_client.get("/healthy")
        assert response.status_code == 200


@pytest.mark.memleak
async def test_leaky(memleak_client):
    for _ in range(10):
        response = await memleak_client.get("/leaky")
        assert response.status_code == 200
