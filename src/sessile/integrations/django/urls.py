"""`path("", include("sessile.integrations.django.urls"))`: the API, the state of the session and the browser client. The socket is ASGI's: `asgi.py`."""

from __future__ import annotations

from django.urls import re_path

from sessile.integrations.django.views import api

app_name = "sessile"
urlpatterns = [re_path(r"^(?P<path>api/session_state|api/v0/.*|sessile\.js)$", api, name="api")]
