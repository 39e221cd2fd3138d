# pip install "sessile[django]"          python app.py runserver          (makes sessile.sqlite3 beside it)
from pathlib import Path

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import JsonResponse
from django.urls import include, path

from sessile.integrations.django import require_authentication

settings.configure(
    DEBUG=True,
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["sessile.integrations.django"],
    MIDDLEWARE=["sessile.integrations.django.SessionMiddleware"],
    SESSION_ENGINE="sessile.integrations.django",
    SESSILE={"DATABASE_URL": f"sqlite:///{Path(__file__).parent / 'sessile.sqlite3'}"},
)


def login(request, name):  # your own password check goes here; with django.contrib.auth call auth.login() instead
    request.session.login(name, public={"name": name})  # new token, same basket
    return JsonResponse({"user": request.session.user_id})


def basket(request, sku):
    request.session.setdefault("basket", {})[sku] = 1  # nested change is kept, parallel tabs too
    return JsonResponse(request.session["basket"])


@require_authentication
def intake(request):
    return JsonResponse(request.session.documents.open("intake", default={"step": 1}).state)


api = path("", include("sessile.integrations.django.urls"))  # /api/session_state, /api/v0/, /sessile.js
urlpatterns = [path("login/<name>", login), path("basket/<sku>", basket), path("intake", intake), api]
if __name__ == "__main__":
    execute_from_command_line()
