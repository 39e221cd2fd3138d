"""Django's own `clearsessions`, also where `django.contrib.sessions` is not installed: its table is not used here."""

from __future__ import annotations

from django.contrib.sessions.management.commands.clearsessions import Command

__all__ = ["Command"]
