"""From what a person types to the id that sessions have: Django's primary key, as text."""

from __future__ import annotations

from django.apps import apps


def user_id_of(text: str) -> str:
    """The primary key of the user with this username (or whatever the user model logs in with), else the text itself, taken for a key."""
    if not apps.is_installed("django.contrib.auth"):
        return text
    from django.contrib.auth import get_user_model

    model = get_user_model()
    user = model.objects.filter(**{model.USERNAME_FIELD: text}).first()
    return text if user is None else str(user._meta.pk.value_to_string(user))
