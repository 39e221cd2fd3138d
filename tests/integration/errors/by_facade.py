"""What the facades raise."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from sessile import Actor, AsyncSessionManager, DocumentKind, SessionManager, Settings
from sessile.model import errors
from sessile.model.change_format import parse_operations
from sessile.model.document import Change, Submission
from sessile.model.limits import REPLAY_CHANGES_MAX, STATE_BYTES_MAX
from sessile.model.wire import iso
from tests.integration.errors.provoked import ADA, NOBODY, SECRET, Stage, Told, provokes


def put(path: str, value: Any) -> dict[str, Any]:
    return {"op": "set", "path": path, "value": value}


@provokes(errors.ConfigurationError)
async def two_settings_that_contradict(stage: Stage) -> Told:
    Settings(idle_timeout_s=5, absolute_timeout_s=1, service_key=SECRET)
    return None


@provokes(errors.StoreUnavailable)
async def a_store_that_is_not_open(stage: Stage) -> Told:
    await AsyncSessionManager(Settings(database_url=f"sqlite:///{stage.folder}/a.db")).ready()
    return None


@provokes(errors.ContentUnreadable)
async def a_key_that_was_taken_away(stage: Stage) -> Told:
    url = f"sqlite:///{stage.folder}/encrypted.db"
    keys = [f"{name}:{base64.b64encode(secrets.token_bytes(32)).decode()}" for name in ("old", "new")]
    session = stage.manager(url, encryption_keys=keys[:1]).create_session(data={"x": SECRET}).session
    stage.manager(url, encryption_keys=keys[1:]).get_session(session.session_id)
    return None


@provokes(errors.SessionNotFound)
async def a_token_of_nobody(stage: Stage) -> Told:
    stage.manager().authenticate(stage.keep(f"{NOBODY}.{'s' * 43}"))
    return None


@provokes(errors.SessionExpired)
async def a_token_after_its_time(stage: Stage) -> Told:
    manager = stage.manager()
    issued = manager.create_session("ada")
    stage.clock.advance(manager.settings.idle_timeout_s)
    manager.authenticate(stage.keep(issued.token))
    return None


@provokes(errors.SessionEnded)
async def a_token_after_the_log_out(stage: Stage) -> Told:
    manager = stage.manager()
    issued = manager.create_session("ada")
    manager.destroy_session(issued.session.session_id)
    manager.authenticate(stage.keep(issued.token))
    return None


@provokes(errors.SessionCreationError)
async def a_log_in_of_a_disabled_user(stage: Stage) -> Told:
    manager = stage.manager()
    manager.disable_user("ada")
    manager.login(None, "ada")
    return None


@provokes(errors.SessionLimitReached)
async def one_log_in_too_many(stage: Stage) -> Told:
    manager = stage.manager(sessions_per_user_max=1, session_limit_action="reject")
    manager.create_session("ada")
    manager.login(None, "ada")
    return None


@provokes(errors.MaintenanceUnderway)
async def a_log_in_during_maintenance(stage: Stage) -> Told:
    manager = stage.manager()
    manager.maintenance.begin("Back at noon.")
    manager.login(None, "ada")
    return None


@provokes(errors.SessionUpdateError)
async def data_of_the_former_user(stage: Stage) -> Told:
    manager = stage.manager()
    session = manager.create_session("ada", data={"basket": SECRET}).session
    manager.change_session_data(session.session_id, [], user_id="eve")
    return None


@provokes(errors.AuthenticationRequired)
async def a_new_password_of_nobody(stage: Stage) -> Told:
    manager = stage.manager()
    manager.credentials_changed(manager.create_session().session.session_id)
    return None


@provokes(errors.InvalidValue)
async def a_value_that_json_does_not_know(stage: Stage) -> Told:
    stage.manager().create_session("ada", data={"a": [SECRET, object()]})
    return None


@provokes(errors.InvalidChange)
async def an_operation_that_there_is_not(stage: Stage) -> Told:
    manager = stage.manager()
    document_id = manager.documents.open(ADA, "form").document.document_id
    manager.documents.change(ADA, document_id, [{"op": "guess", "path": "/a", "value": SECRET}])
    return None


@provokes(errors.DocumentNotFound)
async def a_document_of_somebody_else(stage: Stage) -> Told:
    manager = stage.manager()
    document_id = manager.documents.open(ADA, "form", default={"a": SECRET}).document.document_id
    manager.documents.get(Actor(user_id="eve"), document_id)
    return None


@provokes(errors.CheckpointNotFound)
async def a_checkpoint_that_there_is_not(stage: Stage) -> Told:
    manager = stage.manager()
    document_id = manager.documents.open(ADA, "form").document.document_id
    manager.documents.restore(ADA, document_id, NOBODY)
    return None


@provokes(errors.ConflictNotFound)
async def a_conflict_that_is_not_open(stage: Stage) -> Told:
    manager = stage.manager()
    document_id = manager.documents.open(ADA, "form").document.document_id
    manager.documents.change(ADA, document_id, [{"op": "resolve", "conflict_id": NOBODY, "choice": "mine"}])
    return None


@provokes(errors.ChangeRejected)
async def a_sum_of_text(stage: Stage) -> Told:
    manager = stage.manager()
    document_id = manager.documents.open(ADA, "form", default={"a": "x"}).document.document_id
    manager.documents.change(ADA, document_id, [{"op": "increment", "path": "/a", "by": 1}])
    return None


@provokes(errors.HandoffRefused)
async def a_code_that_nobody_offered(stage: Stage) -> Told:
    stage.manager().handoffs.redeem("ABCD-EFGH")
    return None


@provokes(errors.TooManyTries)
async def guessing(stage: Stage) -> Told:
    manager = stage.manager()
    for _ in range(100):
        try:
            manager.handoffs.redeem("ABCD-EFGH", address="192.0.2.1")
        except errors.HandoffRefused:
            continue
    return None


@provokes(errors.PlatformRefused)
async def a_platform_of_nobody(stage: Stage) -> Told:
    stage.manager().check_platform("ada", "shop")
    return None


@provokes(errors.DocumentTooLarge)
async def a_state_over_the_limit(stage: Stage) -> Told:
    stage.manager().documents.open(ADA, "form", default={"a": SECRET + "x" * STATE_BYTES_MAX})
    return None


@provokes(errors.VersionConflict)
async def a_name_that_is_taken(stage: Stage) -> Told:
    manager = stage.manager()
    manager.documents.open(ADA, "one")
    manager.documents.rename(ADA, manager.documents.open(ADA, "two").document.document_id, "one")
    return None


@provokes(errors.SchemaUnknown)
async def a_kind_that_is_not_declared(stage: Stage) -> Told:
    stage.manager().documents.open(ADA, "form", kind="intake")
    return None


@provokes(errors.SchemaUpgradeFailed)
async def an_upgrade_that_raises(stage: Stage) -> Told:
    def upgrade(state: dict[str, Any]) -> dict[str, Any]:
        raise ValueError(SECRET)

    url = f"sqlite:///{stage.folder}/a.db"
    old = DocumentKind(name="intake", names=["form"])
    new = DocumentKind(name="intake", names=["form"], version=2, upgrades={1: upgrade})
    document_id = stage.manager(url, kinds=[old]).documents.open(ADA, "form").document.document_id
    newer = stage.manager(url, kinds=[new])
    newer.documents.change(ADA, document_id, [put("/a", 1)])
    return None


@provokes(errors.VersionNotKept)
async def a_version_behind_the_log(stage: Stage) -> Told:
    manager = stage.manager(log_retention_d=1)
    document_id = manager.documents.open(ADA, "form").document.document_id
    for number in range(REPLAY_CHANGES_MAX + 1):
        manager.documents.change(ADA, document_id, [put("/a", number)])
    stage.clock.advance(2 * 86_400)
    while manager.documents.compact():
        pass
    manager.documents.diff(ADA, document_id, 0)
    return None


@provokes(errors.ExportDamaged)
async def an_export_that_was_edited(stage: Stage) -> Told:
    manager = stage.manager()
    document_id = manager.documents.open(ADA, "form", default={"a": 1}).document.document_id
    exported = manager.documents.export_document(ADA, document_id)
    manager.documents.import_document(ADA, {**exported, "exported_at": iso(stage.clock.now()), "state": {"a": SECRET}})
    return None


@provokes(errors.SequenceGap)
async def a_number_that_was_left_out(stage: Stage) -> Told:
    return submitted(stage.manager(), (2, 1))


@provokes(errors.IdentityReused)
async def a_number_used_for_two_things(stage: Stage) -> Told:
    return submitted(stage.manager(), (1, 1), (1, SECRET))


def submitted(manager: SessionManager, *numbered: tuple[int, Any]) -> errors.SessileError:
    """What the last of these changes met."""
    document_id = manager.documents.open(ADA, "form").document.document_id
    error = None
    for seq, value in numbered:
        operations = parse_operations([put("/a", value)])
        change = Change(device_id=ADA.device_id, seq=seq, base_version=0, generation=0, operations=operations)
        error = manager.documents.submit(Submission(document_id, [change], ADA)).error
    assert isinstance(error, errors.SessileError)
    return error
