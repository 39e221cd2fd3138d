"""Planted bugs of platforms; `test_mutants` runs them."""

from __future__ import annotations

from tests.contract.mutation import Mutant

ENGINE = "sessile.engine.platforms:"
SESSIONS = "sessile.engine.sessions:SessionEngine."
MEMORY = "sessile.stores.memory.platforms:MemoryPlatformRows."
SQL = "sessile.stores.sql.platforms:SqlPlatformRows."
BOTH = ("memory", "sqlite")

PLATFORM_MUTANTS = [
    Mutant(
        "a switch expects nothing",
        f"{ENGINE}PlatformEngine._switch",
        "session.platform_id != expected",
        "False",
        "test_of_two_switches_with_the_same_expectation_one_wins",
        BOTH,
    ),
    Mutant(
        "to expect none is to expect nothing",
        f"{ENGINE}PlatformEngine._switch",
        "expected is not UNSET",
        "expected",
        "test_a_session_switches_if_it_is_where_it_is_expected",
    ),
    Mutant(
        "a session that is over switches",
        f"{ENGINE}PlatformEngine._switch",
        "check_alive(session, now)",
        "pass",
        "test_a_switch_is_for_live_sessions_and_ones_own_platforms",
    ),
    Mutant(
        "anybody may switch anywhere",
        f"{ENGINE}PlatformEngine._switch",
        "_admit(platform, session.user_id)",
        "pass",
        "test_a_switch_is_for_live_sessions_and_ones_own_platforms",
    ),
    Mutant(
        "a switch tells nobody",
        f"{ENGINE}_move",
        "tx.emit(Event(EventKind.SESSION_CHANGED, moved.session_id, moved.version))",
        "pass",
        "test_a_session_switches_if_it_is_where_it_is_expected",
        BOTH,
    ),
    Mutant(
        "somebody else's platform will do",
        f"{ENGINE}_admit",
        "platform.user_id != user_id",
        "False",
        "test_a_session_does_not_begin_on_a_platform_that_is_not_the_users",
    ),
    Mutant(
        "an inactive platform will do",
        f"{ENGINE}_admit",
        "if not platform.is_active:",
        "if False:",
        "test_a_switch_is_for_live_sessions_and_ones_own_platforms",
        BOTH,
    ),
    Mutant(
        "sessions stay on what is gone",
        f"{ENGINE}_write",
        "if key != default:",
        "if False:",
        "test_sessions_on_a_platform_that_is_gone_go_to_the_default",
        BOTH,
    ),
    Mutant(
        "pages go on showing the old name",
        f"{ENGINE}_write",
        "tx.emit(Event(EventKind.SESSION_CHANGED, session.session_id, session.version))",
        "pass",
        "test_pages_hear_of_another_name",
    ),
    Mutant(
        "the new default comes before the old one goes",
        f"{ENGINE}_write",
        "key=lambda platform: platform.is_default",
        "key=lambda platform: not platform.is_default",
        "test_the_application_says_which_is_the_default",
        BOTH,
    ),
    Mutant(
        "what is missing stays active",
        f"{ENGINE}PlatformEngine._sync",
        "replace(known, is_active=False, is_default=False)",
        "known",
        "test_the_mirror_says_what_the_application_says",
    ),
    Mutant(
        "an inactive platform is the default",
        f"{ENGINE}_mirrored",
        "known.is_default and entry.is_active",
        "known.is_default",
        "test_there_is_one_default_whenever_there_is_an_active_platform",
        BOTH,
    ),
    Mutant(
        "a mark beats the present default",
        f"{ENGINE}_choose_default",
        "(*present, *marked)",
        "(*marked, *present)",
        "test_there_is_one_default_whenever_there_is_an_active_platform",
    ),
    Mutant(
        "no mark is looked at",
        f"{ENGINE}_choose_default",
        "(*present, *marked)",
        "present",
        "test_there_is_one_default_whenever_there_is_an_active_platform",
    ),
    Mutant(
        "the newest becomes the default",
        f"{ENGINE}_choose_default",
        "oldest = min(",
        "oldest = max(",
        "test_a_default_that_is_missing_in_the_rows_is_chosen",
        BOTH,
    ),
    Mutant(
        "somebody else's active platform is taken over",
        f"{ENGINE}_mirrored",
        "other is not None and other.is_active",
        "False",
        "test_somebody_elses_platform_stays_theirs_until_they_have_it_no_more",
        BOTH,
    ),
    Mutant(
        "somebody else's platform can never change hands",
        f"{ENGINE}_mirrored",
        "other is not None and other.is_active",
        "other is not None",
        "test_somebody_elses_platform_stays_theirs_until_they_have_it_no_more",
    ),
    Mutant(
        "a session begins nowhere",
        f"{ENGINE}platform_for",
        "default_of(tx, user_id, now) if user_id is not None else None",
        "None",
        "test_a_session_begins_on_the_default_or_on_the_platform_that_is_named",
    ),
    Mutant(
        "who logs in again is moved",
        "sessile.engine.logins:Logins.enter",
        "session.platform_id or begins_on",
        "begins_on",
        "test_a_session_begins_on_the_default_or_on_the_platform_that_is_named",
    ),
    Mutant(
        "two defaults can be written",
        f"{MEMORY}put",
        "any(other.is_default for other in others)",
        "False",
        "test_the_store_itself_allows_one_default_of_a_user",
    ),
    Mutant(
        "a second default replaces the first",
        f"{SQL}put",
        'put(self._connection, platforms, ("platform_id",))',
        'platforms.insert().prefix_with("OR REPLACE")',
        "test_the_store_itself_allows_one_default_of_a_user",
        ("sqlite",),
    ),
]
