"""One page, and the webhook."""

from django.http import HttpRequest, JsonResponse
from django.urls import path

from pyruntime.adapters.django.views import app, webhook


def health(request: HttpRequest) -> JsonResponse:
    """Tell a load balancer how the bot is."""
    handle = app().handle
    return JsonResponse({"running": handle is not None and handle.is_running()})


urlpatterns = [path("telegram/", webhook), path("health/", health)]
