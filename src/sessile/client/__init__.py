"""The Python client: live documents with a durable outbox, and the verbs of a session over HTTP, for services, agents and tests. Needs
`sessile[client]`."""

from sessile.client.api import Api
from sessile.client.backoff import Backoff
from sessile.client.changes import Change
from sessile.client.client import Client
from sessile.client.document import Document
from sessile.client.document_api import DocumentApi
from sessile.client.errors import (
    ClientClosed,
    ConnectionLost,
    ConnectionRefused,
    ForeignSession,
    MalformedRequest,
    NoSuchAddress,
    NotConnected,
    OutboxUnavailable,
    ServerFault,
    ServerRefused,
)
from sessile.client.events import ConnectionStatus, SyncStatus
from sessile.client.handoff import HandedOver, RedeemedHandoff, redeem_handoff
from sessile.client.outbox import Outbox
from sessile.client.records import Answer, Device, RestoredDocument, SavedCheckpoint
from sessile.client.resources import (
    ActivityEntries,
    ActivityEntry,
    HandoffState,
    KnownDevice,
    Maintenance,
    OfferedHandoff,
    RestoredSession,
    ServiceInfo,
    Standing,
    StoredDocument,
)

__all__ = [
    "ActivityEntries",
    "ActivityEntry",
    "Answer",
    "Api",
    "Backoff",
    "Change",
    "Client",
    "ClientClosed",
    "ConnectionLost",
    "ConnectionRefused",
    "ConnectionStatus",
    "Device",
    "Document",
    "DocumentApi",
    "ForeignSession",
    "HandedOver",
    "HandoffState",
    "KnownDevice",
    "Maintenance",
    "MalformedRequest",
    "NoSuchAddress",
    "NotConnected",
    "OfferedHandoff",
    "Outbox",
    "OutboxUnavailable",
    "RedeemedHandoff",
    "RestoredDocument",
    "RestoredSession",
    "SavedCheckpoint",
    "ServerFault",
    "ServerRefused",
    "ServiceInfo",
    "Standing",
    "StoredDocument",
    "SyncStatus",
    "redeem_handoff",
]
