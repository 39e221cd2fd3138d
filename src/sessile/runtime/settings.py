"""Settings: constructor arguments, environment variables with the prefix `SESSILE_`, or a file (`settings_file`). What does not fit together is refused at start."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, Field, PrivateAttr, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from sessile.engine.principals import LimitAction
from sessile.model.audit_sinks import SyslogAddress, check_webhook_url
from sessile.model.binding import COOKIE_TTL_MIN_S, MissingPolicy
from sessile.model.document import Policy
from sessile.model.errors import ConfigurationError
from sessile.model.legacy import LegacyKind
from sessile.model.limits import CHECKPOINTS_AUTOMATIC_KEPT, COMMIT_BATCH_MAX, REPLAY_CHANGES_MAX
from sessile.model.merge import Policies
from sessile.model.secret import check_secret
from sessile.model.webhook import webhook_key
from sessile.runtime.presets import Preset, weaker_than, with_preset
from sessile.runtime.reloadable import ReloadableSettings
from sessile.runtime.settings_file import FileSource, OldNames
from sessile.telemetry.alerts import make_rules

_KEEP_BOTH: Final = Policies()
_PASSWORD: Final = re.compile(r"(://[^/@:]*:)[^/@]*@")
_COOKIE_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)

Seconds = Annotated[float, Field(gt=0, le=10 * 365 * 86400)]
Names = Annotated[tuple[str, ...], NoDecode]
"""In the environment: separated by commas."""


class Settings(ReloadableSettings):
    """Raises ConfigurationError that names every setting that is wrong; secrets are shown by no repr. Nothing sets one of them; `reload` reads them again."""

    model_config = SettingsConfigDict(
        env_prefix="SESSILE_", frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    database_url: Annotated[str, Field(repr=False)] = "sqlite:///sessile.db"
    """`sqlite:///file`, `sqlite:////absolute/file`, `postgresql://user:password@host/database`, or `memory://` (nothing is kept)."""
    pool_size: Annotated[int, Field(ge=1, le=1000)] = 8
    """Connections to the database at most."""
    pool_timeout_s: Seconds = 5
    """How long a request waits for one of them before it is answered with `store_unavailable`."""
    redis_url: SecretStr | None = None
    """`redis://host:6379/0`, `rediss://` (TLS), `redis+sentinel://host:port,host:port/service`, `redis+cluster://host:port`, with `user:password@` before the
    host; or the same with `valkey`. A cache in front of the database: it may vanish, and nobody is logged out."""
    fence_period_s: Annotated[float, Field(ge=0.05, le=60)] = 1
    """How long the cache serves without the database; and how long the end of a session may take where Redis cannot be reached."""
    secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Keys that sign what leaves the server: the first one signs, all are believed. Without any, one is made and kept in the database."""
    encryption_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Keys that encrypt session data and documents where they are kept, as `id:base64` of 32 random bytes: the first one encrypts, all decrypt. Without any,
    nothing is encrypted."""
    encryption_strict: bool = False
    """Refuse what is kept and not encrypted. By default it is read, and encrypted when it is written again."""
    service_key: SecretStr | None = None
    """Lets a trusted service make sessions over HTTP. Without it that route does not exist."""
    allowed_origins: Names = ()
    """Origins besides the application's own that may send changes and open sockets, exactly as browsers send them."""
    trusted_proxies: Names = ()
    """Addresses and networks of proxies, whose X-Forwarded-* headers `sessile serve` believes. Nobody else's count."""
    preset: Preset | None = None
    """`aal1`, `aal2` or `aal3`: the times of that assurance level of NIST SP 800-63B-4, for `idle_timeout_s`, `absolute_timeout_s`, `remember_timeout_s`,
    `fresh_timeout_s`, `cookie_persistent` and `end_others_needs_fresh`. Each can still be set, but to nothing weaker."""
    idle_timeout_s: Seconds = 86400
    """A session ends this long after the last activity. Activity is noted in steps of a twentieth of it, and written once a second: below some 20 s a session can end up
    to a second early."""
    absolute_timeout_s: Seconds = 172800
    """A session ends this long after the login, whatever happens."""
    remember_timeout_s: Annotated[float, Field(ge=0, le=10 * 365 * 86400)] = 30 * 86400
    """Instead of both, for a login with "keep me logged in". What needs a recent login goes on needing one. 0: such a login is like any other."""
    fresh_timeout_s: Seconds = 900
    """How recent a login has to be where `require_fresh()` names no time of its own."""
    expiry_warning_s: Seconds = 900
    """A page is warned this long before its session ends; where that is not shorter than `idle_timeout_s`, by default a quarter of it."""
    rotation_window_s: Seconds = 30
    """How long the previous token still serves requests that were under way, counted from the first use of the new one."""
    end_others_needs_fresh: bool = False
    """Ending other sessions over the service's own API asks for a login within `fresh_timeout_s` (ASVS 7.5.2). One's own session can always be ended."""
    sessions_per_user_max: Annotated[int, Field(ge=0, le=10_000)] = 0
    """How many sessions a user may have at once; 0 is any number. A user can have a limit of their own."""
    session_limit_action: LimitAction = LimitAction.EVICT_OLDEST
    """What a login beyond that does: `evict_oldest` ends the oldest session, `reject` refuses the login."""
    anonymous_keys_dropped: Names = ()
    """Keys of an anonymous session's data that a login does not take over."""
    claim_on_login: bool = True
    """Documents made anonymously become the user's at login."""
    end_on_late_use: bool = False
    """End a session whose retired token is used after its window, instead of only writing an audit event."""
    fingerprint: Literal["off", "report", "enforce"] = "off"
    """Whether what a browser says of itself (program and system without their versions, languages) is compared with what it said at the login: `report` audits a
    difference and tells listeners, `enforce` refuses the request as well. It is a signal, not a proof: a thief can say the same."""
    login_tries_max: Annotated[int, Field(ge=0, le=1_000_000)] = 10
    """How many tries to log in count for one name from one address within `login_window_s` (`count_login_try`); ten times as many for the name alone and the address
    alone. 0 is any number."""
    login_window_s: Seconds = 300
    """The window of `login_tries_max`, and what `Retry-After` says."""
    platform_switches_per_hour_max: Annotated[int, Field(ge=0, le=1_000_000)] = 600
    """How often a user may switch the platform within an hour; 0 is any number."""
    documents_per_hour_max: Annotated[int, Field(ge=0, le=1_000_000)] = 600
    """How many documents a user, or an anonymous session, may make within an hour, copies included; 0 is any number. What the application makes is not counted."""
    sweep_interval_s: Seconds = 1800
    """How often sessions past a deadline are marked as ended. They are refused from the deadline on, swept or not."""
    sweep_batch: Annotated[int, Field(ge=1, le=10_000)] = 100
    """How many of them in one transaction."""
    checkpoint_interval_s: Seconds = 30
    """How often documents that changed get an automatic checkpoint."""
    ended_retention_d: Annotated[float, Field(gt=0, le=36_500)] = 30
    """Sessions that ended longer ago than this are removed, with the documents that anonymous ones left."""
    audit_retention_d: Annotated[float, Field(gt=0, le=36_500)] = 90
    """Audit events older than this are removed. What is kept of a chain still verifies."""
    audit_file: Path | None = None
    """A file that gets every audit event as a line of JSON. It is made with mode 0600, and opened anew for each batch: rotate it by renaming it."""
    audit_syslog: str | None = None
    """A syslog server that gets them (RFC 5424): `udp://host:514`, `tcp://host:601`, `tls://host:6514` or `unix:///dev/log`."""
    audit_webhook_url: SecretStr | None = None
    """An https address that gets them, signed (Standard Webhooks). Plain http only to this machine."""
    audit_webhook_secret: SecretStr | None = None
    """What signs them: 32 random bytes at least, as they are or as `whsec_` and base64. `verify_webhook` checks it."""
    metrics_access: Literal["local", "open", "off"] = "local"
    """Who may read `/metrics` and the history at `/readyz`: `local` is this machine (directly, not through a proxy) and whoever has the `service_key`; `open` is
    everybody who reaches the service."""
    health_interval_s: Annotated[float, Field(ge=1, le=3600)] = 10
    """How often a process looks at its database, cache and background work, and judges its alerts."""
    alert_rules: Mapping[str, Mapping[str, float]] = Field(default_factory=dict)
    """Rules of alerts that are otherwise than the table: `{"pool_full": {"threshold": 0.8, "for_s": 60, "cooldown_s": 600, "enabled": 1}}`."""
    alert_webhook_url: SecretStr | None = None
    """An https address that is told of alerts, signed as the audit log's is. Every alert is a line of the log in any case."""
    alert_webhook_secret: SecretStr | None = None
    """What signs them."""
    checkpoints_kept: Annotated[int, Field(ge=1, le=10_000)] = CHECKPOINTS_AUTOMATIC_KEPT
    """So many automatic checkpoints and ones before a restore are kept of each document; what a person made on purpose stays."""
    checkpoint_retention_d: Annotated[float, Field(gt=0, le=36_500)] | None = None
    """And none of them longer than this."""
    retention_interval_s: Seconds = 3600
    """How often what is too old is removed."""
    retention_batch: Annotated[int, Field(ge=1, le=10_000)] = 500
    """How many rows in one transaction."""
    document_policies: Mapping[str, Mapping[str, Policy]] = Field(default_factory=dict)
    """By document name (with * wildcards) and path pattern: what happens when two devices change the same path."""
    documents: str = ""
    """A module that declares document kinds; processes without the application's code load it."""
    log_versions_kept: Annotated[int, Field(ge=REPLAY_CHANGES_MAX, le=10_000_000)] = REPLAY_CHANGES_MAX
    """So many versions of each document's log are kept in any case."""
    log_retention_d: Annotated[float, Field(gt=0, le=36_500)] = 30
    """Lines of the log younger than this are kept too, and with them what idempotency keys stand for."""
    compaction_interval_s: Seconds = 3600
    """How often older lines are forgotten. The state itself and checkpoints stay."""
    compaction_batch: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """How many of them in one transaction."""
    commit_writers: Annotated[int, Field(ge=1, le=32)] = 2
    """How many transactions with changes are under way at once on PostgreSQL. SQLite writes one at a time."""
    commit_batch_max: Annotated[int, Field(ge=1, le=COMMIT_BATCH_MAX)] = COMMIT_BATCH_MAX
    """How many submissions share one commit at most. 1 turns group commit off."""
    ping_interval_s: Seconds = 20
    """How often the server pings a socket; with each ping the session is looked at again."""
    ping_timeout_s: Seconds = 10
    """A socket that says nothing this long after a ping is closed; the client comes back."""
    sockets_per_user_max: Annotated[int, Field(ge=0, le=100_000)] = 100
    """How many sockets a user, or an anonymous session, may have at one process; 0 is any number. A browser needs one, however many tabs it has."""
    sockets_per_address_max: Annotated[int, Field(ge=0, le=1_000_000)] = 1000
    """The same for one address, behind which there can be many people. Behind a proxy name it in `trusted_proxies`, or all of them are one address."""
    socket_frames_per_s: Annotated[float, Field(ge=0, le=1_000_000)] = 200
    """How fast one socket is read, over ten seconds: what comes faster waits, and is not lost. 0: as it comes."""
    hello_timeout_s: Seconds = 5
    """How long a new socket may stay silent."""
    drain_timeout_s: Seconds = 10
    """At shutdown: how long what is under way may take."""
    presence_linger_s: Annotated[float, Field(ge=0, le=3600)] = 10
    """A device is still shown this long after its last socket closed; then it counts as disconnected."""
    presence_lease_s: Annotated[float, Field(gt=0, le=7200)] = 35
    """Devices on a process that died are disconnected after this long; one without a socket, this long after its last heartbeat."""
    cookie_name: str | None = None
    """By default `__Host-Http-sessile` under https and `sessile` on this machine."""
    cookie_samesite: Literal["lax", "strict", "none"] = "lax"
    """`none` only for a page inside another site's frame."""
    legacy_cookies: Mapping[str, LegacyKind] = Field(default_factory=dict)
    """Cookies of the session library that was here before, by name: `{"session": "flask-session"}`. They are accepted and replaced at first use."""
    legacy_user_keys: Names = ()
    """Where the user's id stands in signed legacy cookies; without it the usual places of each library."""
    legacy_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """The secrets that signed them, the latest first: one, or a JSON list."""
    legacy_until: AwareDatetime | None = None
    """From this moment on (ISO 8601, with a zone) signed legacy cookies are accepted no more. For the others `sessile import --accept-days` says it."""
    legacy_max_age_s: Seconds | None = None
    """How old a signed legacy cookie may be; without it as long as its library allows by default."""
    legacy_cookie_domain: Annotated[str, Field(pattern=r"^\.?[A-Za-z0-9.-]+$")] | None = None
    """The domain that the old cookie was set for, if it was set for one: needed to make browsers forget it."""
    handoff_path: str = "/"
    """The page that a hand-off's picture leads to; it finds the code behind the `#`."""
    cookie_path: str = "/"
    """The part of the site that gets the cookie."""
    cookie_domain: str | None = None
    """Sends the cookie to every host below this domain as well, all of which can then act for the user. By default to this very host alone."""
    cookie_secure: bool = False
    """The site is served with https only, whatever the server itself sees behind its proxy: the cookie is `Secure` in any case."""
    cookie_persistent: bool = True
    """The browser keeps the cookie when it is closed. Flask and Django have their own word for it, which can only take it away, not give it back."""
    cookie_partitioned: bool = False
    """For a page inside another site's frame: a jar of its own for each site around it (CHIPS). Under https only."""
    clear_site_data: Names = ("cache",)
    """What a log-out over https makes the browser forget beside the cookie (`Clear-Site-Data`): of `cache`, `cookies`, `storage`; nothing turns it off. `storage` takes what
    was typed and not sent yet as well; `cookies` takes those of every host below the domain."""
    dbsc: bool = False
    """Offer each log-in under https to bind the session to its device (Device Bound Session Credentials): a copy of the cookies is then worth something for
    minutes only. Browsers that do not know it behave as before. Needs `sessile[dbsc]`."""
    dbsc_missing: MissingPolicy = MissingPolicy.DENY
    """What holds for a request of a bound session that does not show its bound cookie: `deny` (nobody is logged in), `step_up` (logged in, but what needs a
    recent log-in asks for one) or `allow`."""
    dbsc_missing_at: Mapping[str, MissingPolicy] = Field(default_factory=dict)
    """The same for a path and all below it, the longest one counts: `{"/reports": "allow"}`."""
    dbsc_cookie_ttl_s: Annotated[float, Field(ge=COOKIE_TTL_MIN_S, le=86400)] = 600
    """How long a bound cookie lives: how long a copy of it can be used."""
    dbsc_grace_s: Annotated[float, Field(ge=1, le=120)] = 30
    """How long the one before it still serves requests that were under way."""
    dbsc_excluded_paths: Names = ("/static", "/sessile.js")
    """Paths, with all below them, for which a browser does not wait for a fresh cookie: files, say."""
    console: bool = False
    """Serve the operators' console at `/console`. Who comes in needs a token of `sessile operators token`."""
    console_idle_timeout_s: Seconds = 1800
    """An operator is signed out this long after the last thing that they did; what a page does by itself does not count."""
    console_absolute_timeout_s: Seconds = 28800
    """And this long after the sign-in, whatever happens."""
    console_cookie_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "sessile-console"
    """The name of the console's own cookie; under https `__Host-` stands before it."""
    debug: bool = False
    """`/api/v0/debug/session`, `/cookie` and `/request-cookies` say what the service sees of a request, without values: to this machine, and to users with the role
    `operator` or `admin`. Nobody else learns that they are there."""
    insecure_lan: bool = False
    """Allow the session cookie on plain http for other hosts than this machine. Anybody on that network can take it over."""

    _policies: dict[str, Policies] = PrivateAttr(default_factory=dict)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigurationError(_told(error)) from None
        self._remember(values)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, OldNames(settings_cls), FileSource(settings_cls)

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, values: Any) -> Any:
        return with_preset(values) if isinstance(values, dict) else values

    @field_validator(
        "allowed_origins",
        "trusted_proxies",
        "anonymous_keys_dropped",
        "legacy_user_keys",
        "clear_site_data",
        "dbsc_excluded_paths",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in value:
            try:
                network = ip_network(proxy, strict=False)
            except ValueError:
                raise ValueError(f"has addresses and networks (10.0.0.0/8), and not {proxy!r}") from None
            if network.prefixlen == 0:
                raise ValueError(f"{proxy} is everybody: whoever connects could say where they come from")
        return value

    @field_validator("clear_site_data")
    @classmethod
    def _known_to_browsers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := set(value) - {"cache", "cookies", "storage"}:
            raise ValueError(f"has cache, cookies and storage, and not {', '.join(sorted(unknown))}")
        return value

    @field_validator("legacy_secrets", mode="before")
    @classmethod
    def _one_or_list(cls, value: object) -> object:
        """Another library's secret may have any character in it, commas too."""
        if not isinstance(value, str):
            return value
        if not value.startswith("["):
            return [value]
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("begins with [ and is no JSON list of texts") from None

    @field_validator("legacy_cookies")
    @classmethod
    def _names_of_cookies(cls, value: Mapping[str, LegacyKind]) -> Mapping[str, LegacyKind]:
        if any(_COOKIE_NAME.fullmatch(name) is None for name in value):
            raise ValueError("a cookie's name has letters, digits and !#$%&'*+-.^_`|~ only (RFC 6265)")
        return value

    @field_validator("secret_keys", "encryption_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("secret_keys")
    @classmethod
    def _hard_to_guess(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for key in value:
            check_secret(key.get_secret_value())
        return value

    @field_validator("handoff_path")
    @classmethod
    def _of_this_site(cls, value: str) -> str:
        if not value.startswith("/") or value.startswith(("//", "/\\")) or "#" in value:
            raise ValueError("is a path of this site: it begins with one slash and has no #")
        return value

    @field_validator("dbsc_missing_at")
    @classmethod
    def _paths(cls, value: Mapping[str, MissingPolicy]) -> Mapping[str, MissingPolicy]:
        if any(not path.startswith("/") for path in value):
            raise ValueError("a path begins with a slash")
        return value

    @field_validator("service_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_secret(value.get_secret_value())
        return value

    @field_validator("audit_syslog")
    @classmethod
    def _a_syslog_server(cls, value: str | None) -> str | None:
        if value is not None:
            SyslogAddress.parse(value)
        return value

    @field_validator("audit_webhook_url", "alert_webhook_url")
    @classmethod
    def _an_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_webhook_url(value.get_secret_value())
        return value

    @field_validator("alert_rules")
    @classmethod
    def _rules_there_are(cls, value: Mapping[str, Mapping[str, float]]) -> Mapping[str, Mapping[str, float]]:
        make_rules(value, 1)
        return value

    @field_validator("audit_webhook_secret", "alert_webhook_secret")
    @classmethod
    def _a_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            webhook_key(value.get_secret_value())
        return value

    @field_validator("document_policies")
    @classmethod
    def _policies_make_sense(cls, value: Mapping[str, Mapping[str, Policy]]) -> Mapping[str, Mapping[str, Policy]]:
        for patterns in value.values():
            Policies.from_mapping(patterns)
        return value

    @model_validator(mode="after")
    def _no_weaker_than_the_preset(self) -> Settings:
        if self.preset is not None and (weaker := weaker_than(self.preset, self.__dict__)):
            raise ValueError("; ".join(weaker))
        return self

    @model_validator(mode="after")
    def _belongs_together(self) -> Settings:
        if self.console_idle_timeout_s > self.console_absolute_timeout_s:
            raise ValueError("console_idle_timeout_s is longer than console_absolute_timeout_s: make it shorter")
        if self.audit_webhook_url is not None and self.audit_webhook_secret is None:
            raise ValueError("audit_webhook_url needs audit_webhook_secret: nobody could tell who sent the events")
        if self.alert_webhook_url is not None and self.alert_webhook_secret is None:
            raise ValueError("alert_webhook_url needs alert_webhook_secret: nobody could tell who sent the alerts")
        return self

    @model_validator(mode="after")
    def _binds_one_host(self) -> Settings:
        if self.dbsc and (self.cookie_domain is not None or self.cookie_partitioned):
            raise ValueError(
                "dbsc binds a session to one host: leave out cookie_domain and cookie_partitioned, or dbsc"
            )
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.idle_timeout_s > self.absolute_timeout_s:
            raise ValueError(
                "idle_timeout_s is longer than absolute_timeout_s, so it could never be reached: make it shorter"
            )
        if self.expiry_warning_s >= self.idle_timeout_s and "expiry_warning_s" in self.model_fields_set:
            raise ValueError(
                "expiry_warning_s is not shorter than idle_timeout_s, so every session would begin with a warning"
            )
        if 0 < self.remember_timeout_s < self.absolute_timeout_s:
            raise ValueError(
                'remember_timeout_s is shorter than absolute_timeout_s, so "keep me logged in" would log people out earlier'
            )
        if self.rotation_window_s >= self.idle_timeout_s:
            raise ValueError(
                "rotation_window_s is not shorter than idle_timeout_s: an old token would outlive its session"
            )
        if self.presence_lease_s <= self.presence_linger_s:
            raise ValueError(
                "presence_lease_s is not longer than presence_linger_s: a device would be gone while it is still shown"
            )
        if self.audit_retention_d < self.ended_retention_d:
            raise ValueError(
                "audit_retention_d is shorter than ended_retention_d: why a session ended would be forgotten before the session"
            )
        if any(kind.is_signed for kind in self.legacy_cookies.values()):
            if not self.legacy_secrets or not all(secret.get_secret_value() for secret in self.legacy_secrets):
                raise ValueError(
                    "legacy_cookies names signed cookies, and legacy_secrets has no secret to check them with"
                )
            if self.legacy_until is None:
                raise ValueError(
                    "legacy_cookies names signed cookies, which nobody can revoke: say with legacy_until how long they are accepted"
                )
        if self.cookie_secure and self.insecure_lan:
            raise ValueError("cookie_secure needs https, and insecure_lan allows plain http: leave one of them out")
        if self.cookie_samesite == "none" and self.insecure_lan:
            raise ValueError(
                "cookie_samesite none needs https, and insecure_lan allows plain http: leave one of them out"
            )
        return self

    @property
    def warning_s(self) -> float:
        """How long before its end a session is warned."""
        return self.expiry_warning_s if self.expiry_warning_s < self.idle_timeout_s else self.idle_timeout_s / 4

    @property
    def database_shown(self) -> str:
        """The address of the database without its password, for people and logs."""
        return _PASSWORD.sub(r"\1***@", self.database_url)

    def policies_of(self, name: str) -> Policies:
        """What holds for a document of this name: the first pattern that fits, else keep_both everywhere."""
        for pattern, patterns in self.document_policies.items():
            if fnmatchcase(name, pattern):
                if pattern not in self._policies:
                    self._policies[pattern] = Policies.from_mapping(patterns)
                return self._policies[pattern]
        return _KEEP_BOTH


def _told(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in problem["loc"])
        name = f"SESSILE_{where.upper()}: " if where else ""
        lines.append(f"{name}{problem['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines)
