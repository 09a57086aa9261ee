"""Django over ASGI: async views, a sync view in a thread, middleware, no lifespan."""

import django
import httpx
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["testserver"],
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"],
)
django.setup()
kept = []


async def healthy(request):
    return HttpResponse("ok")


async def leaky(request):
    kept.append(bytearray(20_000))  # the leak
    return HttpResponse("ok")


def in_thread(request):
    return HttpResponse("ok")


async def stream(request):
    async def chunks():
        for _ in range(10):
            yield b"x" * 1_000

    return StreamingHttpResponse(chunks())


async def unclosed(request):
    client = httpx.AsyncClient(verify=False)  # the open client
    return HttpResponse(str(client.is_closed))


urlpatterns = [path(view.__name__, view) for view in (healthy, leaky, in_thread, stream, unclosed)]
app = get_asgi_application()
