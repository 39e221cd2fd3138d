"""Django has the accounts: who logs in here is logged in everywhere.   python account.py runserver 8001"""

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import JsonResponse
from django.urls import path

settings.configure(
    DEBUG=True,
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["sessile.integrations.django"],
    MIDDLEWARE=["sessile.integrations.django.SessionMiddleware"],
    SESSION_ENGINE="sessile.integrations.django",
    SESSION_COOKIE_NAME="sessile",  # as in the other two, instead of Django's `sessionid`
    SESSILE={"DATABASE_URL": os.environ["SESSILE_DATABASE_URL"]},
)


def login(request, name):  # your own password check goes here
    request.session.login(name, public={"name": name})
    return JsonResponse({"user": request.session.user_id, "session": request.session.handle})


urlpatterns = [path("account/login/<name>", login)]
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
