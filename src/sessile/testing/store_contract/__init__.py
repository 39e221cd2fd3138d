"""What every store keeps, as tests: subclass `StoreContract`, say how a store is made, and pytest runs the rest in each lane.

    class TestMyStore(StoreContract):
        def make_store(self, lane: str, place: Path) -> Store:
            return BlockingMyStore(place) if lane == "blocking" else AsyncMyStore(place)

A body is one coroutine over the engine and the store. It runs on an event loop in the asyncio lane and is driven without one in the
blocking lane. Needs pytest, and no plugin of it. docs/reference/testing.md tells more.
"""

import pytest

_GROUPS = (
    "transactions",
    "sessions",
    "tokens",
    "principals",
    "platforms",
    "documents",
    "changes",
    "merging",
    "batches",
    "checkpoints",
    "kinds",
    "history",
    "backups",
    "copies",
    "presence",
    "races",
    "sharing",
    "handoffs",
    "arrivals",
    "legacy",
    "maintenance",
    "chains",
    "erasing",
    "retention",
    "lasting",
    "credentials",
    "bindings",
    "deliveries",
    "oversight",
    "rows",
)
pytest.register_assert_rewrite(*(f"{__name__}.{group}" for group in _GROUPS))

from sessile.testing.store_contract.arrivals import ArrivalContract  # noqa: E402 - what is imported first cannot be rewritten
from sessile.testing.store_contract.backups import BackupContract  # noqa: E402
from sessile.testing.store_contract.base import Contract  # noqa: E402
from sessile.testing.store_contract.batches import BatchContract  # noqa: E402
from sessile.testing.store_contract.bindings import BindingContract  # noqa: E402
from sessile.testing.store_contract.chains import ChainContract  # noqa: E402
from sessile.testing.store_contract.changes import ChangeContract  # noqa: E402
from sessile.testing.store_contract.checkpoints import CheckpointContract  # noqa: E402
from sessile.testing.store_contract.copies import CopyContract  # noqa: E402
from sessile.testing.store_contract.credentials import CredentialContract  # noqa: E402
from sessile.testing.store_contract.deliveries import DeliveryContract  # noqa: E402
from sessile.testing.store_contract.documents import DocumentContract  # noqa: E402
from sessile.testing.store_contract.erasing import ErasureContract  # noqa: E402
from sessile.testing.store_contract.handoffs import HandoffContract  # noqa: E402
from sessile.testing.store_contract.history import HistoryContract  # noqa: E402
from sessile.testing.store_contract.kinds import KindContract  # noqa: E402
from sessile.testing.store_contract.lasting import LastingContract  # noqa: E402
from sessile.testing.store_contract.legacy import LegacyContract  # noqa: E402
from sessile.testing.store_contract.limits import LimitContract  # noqa: E402
from sessile.testing.store_contract.maintenance import MaintenanceContract  # noqa: E402
from sessile.testing.store_contract.merging import MergeContract  # noqa: E402
from sessile.testing.store_contract.origins import OriginContract  # noqa: E402
from sessile.testing.store_contract.oversight import OversightContract  # noqa: E402
from sessile.testing.store_contract.platforms import PlatformContract  # noqa: E402
from sessile.testing.store_contract.presence import PresenceContract  # noqa: E402
from sessile.testing.store_contract.principals import PrincipalContract  # noqa: E402
from sessile.testing.store_contract.races import RaceContract  # noqa: E402
from sessile.testing.store_contract.retention import RetentionContract  # noqa: E402
from sessile.testing.store_contract.rows import RowContract  # noqa: E402
from sessile.testing.store_contract.sessions import SessionContract  # noqa: E402
from sessile.testing.store_contract.sharing import SharingContract  # noqa: E402
from sessile.testing.store_contract.tokens import TokenContract  # noqa: E402
from sessile.testing.store_contract.transactions import TransactionContract  # noqa: E402


class StoreContract(
    TransactionContract,
    SessionContract,
    TokenContract,
    PrincipalContract,
    PlatformContract,
    DocumentContract,
    ChangeContract,
    MergeContract,
    BatchContract,
    CheckpointContract,
    KindContract,
    HistoryContract,
    BackupContract,
    CopyContract,
    PresenceContract,
    RaceContract,
    SharingContract,
    HandoffContract,
    ArrivalContract,
    LegacyContract,
    MaintenanceContract,
    ChainContract,
    RetentionContract,
    ErasureContract,
    LastingContract,
    CredentialContract,
    OriginContract,
    LimitContract,
    BindingContract,
    DeliveryContract,
    OversightContract,
    RowContract,
):
    """The whole contract. A group can also be subclassed by itself, while a store is being written."""


__all__ = [
    "ArrivalContract",
    "BackupContract",
    "BatchContract",
    "BindingContract",
    "ChainContract",
    "ChangeContract",
    "CheckpointContract",
    "Contract",
    "CopyContract",
    "CredentialContract",
    "DeliveryContract",
    "DocumentContract",
    "ErasureContract",
    "HandoffContract",
    "HistoryContract",
    "KindContract",
    "LastingContract",
    "LegacyContract",
    "LimitContract",
    "MaintenanceContract",
    "MergeContract",
    "OriginContract",
    "OversightContract",
    "PlatformContract",
    "PresenceContract",
    "PrincipalContract",
    "RaceContract",
    "RetentionContract",
    "RowContract",
    "SessionContract",
    "SharingContract",
    "StoreContract",
    "TokenContract",
    "TransactionContract",
]
