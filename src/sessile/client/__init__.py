"""The Python client: live documents with a durable outbox, for services, agents and tests. Needs `sessile[client]`."""

from sessile.client.backoff import Backoff
from sessile.client.changes import Change
from sessile.client.client import Client
from sessile.client.document import Document
from sessile.client.errors import (
    ClientClosed,
    ConnectionLost,
    ConnectionRefused,
    NotConnected,
    OutboxUnavailable,
    ServerRefused,
)
from sessile.client.events import ConnectionStatus, SyncStatus
from sessile.client.outbox import Outbox
from sessile.client.records import Answer, Device, RestoredDocument, SavedCheckpoint

__all__ = [
    "Answer",
    "Backoff",
    "Change",
    "Client",
    "ClientClosed",
    "ConnectionLost",
    "ConnectionRefused",
    "ConnectionStatus",
    "Device",
    "Document",
    "NotConnected",
    "Outbox",
    "OutboxUnavailable",
    "RestoredDocument",
    "SavedCheckpoint",
    "ServerRefused",
    "SyncStatus",
]
