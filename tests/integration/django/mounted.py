"""The project's paths, with the API below one of them."""

from __future__ import annotations

from django.urls import include, path

from tests.integration.django.site import whoami

urlpatterns = [path("whoami", whoami), path("below/", include("sessile.integrations.django.urls"))]
