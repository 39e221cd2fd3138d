"""No table of Django's: this is what permissions and the admin's page hang on."""

from __future__ import annotations

from django.db import models


class Session(models.Model):
    """Sessions are in Sessile's own database. The permissions `sessile.view_session` and `sessile.delete_session` (which ends them) are Django's."""

    class Meta:
        managed = False
        default_permissions = ("view", "delete")
        verbose_name = "session"
        verbose_name_plural = "sessions"
