"""The project's views, each for one thing that sessions have to do; and the same in `async def`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import aget_user, alogin, alogout, login, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from sessile.integrations.django import (
    aget_current_session_context,
    get_current_platform_id,
    get_current_session_context,
    get_current_user_id,
    is_session_authenticated,
    require_authentication,
    require_fresh,
    require_platform,
)


def bare(request: HttpRequest) -> HttpResponse:
    return HttpResponse("the same for all")


def get(request: HttpRequest, key: str) -> JsonResponse:
    return JsonResponse({key: request.session.get(key)})


def put(request: HttpRequest, key: str, value: str) -> HttpResponse:
    request.session[key] = value
    return HttpResponse(status=204)


def basket(request: HttpRequest, sku: str) -> JsonResponse:
    request.session.setdefault("basket", {})[sku] = 1
    return JsonResponse(request.session["basket"])


def enter(request: HttpRequest, name: str) -> HttpResponse:
    login(request, User.objects.get(username=name))
    return HttpResponse(request.session.user_id)


def try_login(request: HttpRequest, name: str) -> HttpResponse:
    request.session.count_login_try(name)
    return HttpResponse("go on")


async def atry_login(request: HttpRequest, name: str) -> HttpResponse:
    await request.session.acount_login_try(name)
    return HttpResponse("go on")


def leave(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse(status=204)


@login_required
def whoami(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"django": request.user.username, "sessile": request.session.user_id})


@login_required
def intake(request: HttpRequest) -> JsonResponse:
    return JsonResponse(request.session.documents.open("intake", default={"step": 1}).state)


@login_required
def password(request: HttpRequest, new: str) -> HttpResponse:
    request.user.set_password(new)
    request.user.save()
    if request.GET.get("keep"):
        update_session_auth_hash(request, request.user)
    return HttpResponse(status=204)


def expire(request: HttpRequest, seconds: int) -> HttpResponse:
    request.session.set_expiry(seconds)
    return HttpResponse(status=204)


def say(request: HttpRequest, text: str) -> HttpResponse:
    messages.info(request, text)
    return HttpResponse(status=204)


def said(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"messages": [str(message) for message in messages.get_messages(request)]})


def csrf(request: HttpRequest) -> HttpResponse:
    return HttpResponse(get_token(request))


def fail(request: HttpRequest) -> HttpResponse:
    request.session["lost"] = True
    return HttpResponse(status=500)


def crash(request: HttpRequest) -> HttpResponse:
    request.session["lost"] = True
    raise ZeroDivisionError


def unfit(request: HttpRequest) -> HttpResponse:
    request.session["bad"] = {"here": object()}
    return HttpResponse("not kept")


def late(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[str]:
        yield "begun "
        yield str(request.session.get("a"))

    return StreamingHttpResponse(parts())


@require_authentication
def members(request: HttpRequest) -> JsonResponse:
    context = get_current_session_context()
    return JsonResponse(
        {
            "user": get_current_user_id(),
            "known": is_session_authenticated(),
            "handle": context and context.session.session_id,
        }
    )


@require_platform
def account(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"platform": get_current_platform_id()})


@require_fresh(60)
def payout(request: HttpRequest) -> HttpResponse:
    return HttpResponse("paid")


async def abare(request: HttpRequest) -> HttpResponse:
    return HttpResponse("the same for all")


async def aget(request: HttpRequest, key: str) -> JsonResponse:
    return JsonResponse({key: await request.session.aget(key)})


async def abasket(request: HttpRequest, sku: str) -> JsonResponse:
    (await request.session.asetdefault("basket", {}))[sku] = 1
    return JsonResponse(await request.session.aget("basket"))


async def aenter(request: HttpRequest, name: str) -> HttpResponse:
    await alogin(request, await User.objects.aget(username=name))
    return HttpResponse(request.session.session_key is not None)


async def aleave(request: HttpRequest) -> HttpResponse:
    await alogout(request)
    return HttpResponse(status=204)


async def awhoami(request: HttpRequest) -> JsonResponse:
    user = await aget_user(request)
    return JsonResponse({"django": user.get_username(), "sessile": request.session.user_id})


async def aintake(request: HttpRequest) -> JsonResponse:
    opened = await request.session.adocuments.open("intake", default={"step": 1})
    return JsonResponse(opened.state)


async def atogether(request: HttpRequest) -> JsonResponse:
    values = await asyncio.gather(*(request.session.aget("basket") for _ in range(5)))
    await request.session.aset("seen", len(values))
    return JsonResponse({"values": values})


async def ablocking(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.session.get("a")))


@require_authentication
async def amembers(request: HttpRequest) -> JsonResponse:
    context = await aget_current_session_context()
    return JsonResponse({"user": get_current_user_id(), "handle": context and context.session.session_id})


VERBS: dict[str, Callable[[Any], Any]] = {
    "rotate": lambda session: session.rotate(),
    "extend": lambda session: session.extend(),
    "end_others": lambda session: session.end_others(),
    "credentials_changed": lambda session: session.credentials_changed(),
    "logout": lambda session: session.logout(),
    "login": lambda session: session.login("own", public={"name": "Own"}),
    "cycle_key": lambda session: session.cycle_key(),
    "save": lambda session: session.save(),
}


def verb(request: HttpRequest, name: str) -> JsonResponse:
    return JsonResponse({"result": VERBS[name](request.session)})


urlpatterns = [
    path("bare", bare),
    path("get/<key>", get),
    path("put/<key>/<value>", put),
    path("basket/<sku>", basket),
    path("login/<name>", enter),
    path("try/<name>", try_login),
    path("async/try/<name>", atry_login),
    path("logout", leave),
    path("whoami", whoami),
    path("intake", intake),
    path("password/<new>", password),
    path("expire/<int:seconds>", expire),
    path("say/<text>", say),
    path("said", said),
    path("csrf", csrf),
    path("fail", fail),
    path("crash", crash),
    path("unfit", unfit),
    path("late", late),
    path("members", members),
    path("account", account),
    path("payout", payout),
    path("verb/<name>", verb),
    path("async/bare", abare),
    path("async/get/<key>", aget),
    path("async/basket/<sku>", csrf_exempt(abasket)),
    path("async/login/<name>", aenter),
    path("async/logout", aleave),
    path("async/whoami", awhoami),
    path("async/intake", aintake),
    path("async/together", atogether),
    path("async/blocking", ablocking),
    path("async/members", amembers),
    path("admin/", admin.site.urls),
    path("", include("sessile.integrations.django.urls")),
]
