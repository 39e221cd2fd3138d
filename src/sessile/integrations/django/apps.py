"""The application under INSTALLED_APPS: system checks, commands, the admin's page, and what listens to log-ins and changes of passwords."""

from __future__ import annotations

from django.apps import AppConfig


class SessileConfig(AppConfig):
    name = "sessile.integrations.django"
    label = "sessile"
    verbose_name = "Sessile"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Django has read its settings and loaded the models."""
        from sessile.integrations.django import accounts, checks

        checks.register()
        accounts.connect()
