"""No table of Django's: this is what permissions and the admin's page hang on."""

from __future__ import annotations

from typing import Any

from django.db import models


class NoRows(models.Manager):
    """There is no table to ask, and `dumpdata` asks every model."""

    def get_queryset(self) -> Any:
        return super().get_queryset().none()


class Session(models.Model):
    """Sessions are in Sessile's own database. The permissions `sessile.view_session` and `sessile.delete_session` (which ends them) are Django's."""

    objects = NoRows()

    class Meta:
        managed = False
        default_permissions = ("view", "delete")
        base_manager_name = "objects"
        verbose_name = "session"
        verbose_name_plural = "sessions"
