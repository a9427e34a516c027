-- Who is told what happens, and what was told.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table destinations (
    id bigint generated always as identity,
    name text not null,
    kind text not null,
    environment text,
    settings jsonb not null,
    secret_variable text,
    secret_sealed bytea,
    created timestamptz not null,
    removed timestamptz,
    constraint destinations_pkey primary key (id),
    constraint destinations_kind_known check (kind in ('slack', 'pagerduty', 'email', 'webhook')),
    constraint destinations_variable_ours check (secret_variable like 'TIDEGATE\_%'),
    constraint destinations_one_secret check (secret_variable is null or secret_sealed is null),
    constraint destinations_removed_keep_none check (removed is null or secret_sealed is null)
);
comment on table destinations is 'Where notifications go.';
comment on column destinations.id is 'Identifier, never used again. The sealed secret is bound to it.';
comment on column destinations.name is 'As pages show it; unique among those that are not removed.';
comment on column destinations.kind is 'slack, pagerduty, email, webhook.';
comment on column destinations.environment is 'Only what concerns this environment; null: whatever happens.';
comment on column destinations.settings is 'What is not secret: addresses, host, sender, recipients.';
comment on column destinations.secret_variable is 'Name of the environment variable that holds the secret.';
comment on column destinations.secret_sealed is 'The secret, encrypted with the key of the installation: 24 bytes nonce, then the rest.';
comment on column destinations.created is 'When it was added.';
comment on column destinations.removed is 'Since when nothing goes there; null while something does. The row stays for the log.';
create unique index destinations_name_key on destinations (lower(name)) where removed is null;

create constraint trigger destinations_audited after insert or update or delete on destinations
    deferrable initially deferred for each row execute function audit_required();

create table notifications (
    id bigint generated always as identity,
    destination bigint not null,
    dedup_key text not null,
    what text not null,
    message jsonb not null,
    release bigint,
    created timestamptz not null default clock_timestamp(),
    since timestamptz not null default clock_timestamp(),
    state text not null default 'waiting',
    attempts integer not null default 0,
    next_try_at timestamptz not null default clock_timestamp(),
    last_error text,
    sent_at timestamptz,
    failed_at timestamptz,
    leased_by text,
    leased_until timestamptz,
    constraint notifications_pkey primary key (id),
    constraint notifications_once unique (destination, dedup_key, what),
    constraint notifications_destination_fkey foreign key (destination) references destinations (id),
    constraint notifications_state_known check (state in ('waiting', 'sent', 'failed')),
    constraint notifications_sent_when check ((state = 'sent') = (sent_at is not null)),
    constraint notifications_failed_when check ((state = 'failed') = (failed_at is not null))
);
comment on table notifications is 'What is to be told and what was: one row for each message and destination. Coordination, as leases are; the change that a message tells of has its own event.';
comment on column notifications.id is 'Identifier; receivers tell by it what they have had already.';
comment on column notifications.destination is 'Where it goes.';
comment on column notifications.dedup_key is 'Names the matter, the same for its beginning and its end.';
comment on column notifications.what is 'What became of the matter: fired, resolved, told, test.';
comment on column notifications.message is 'Title, words, severity, path, and what it is about.';
comment on column notifications.release is 'Release that it is about. No foreign key: the log outlives it.';
comment on column notifications.created is 'When it was to be told, by the database''s clock.';
comment on column notifications.since is 'Since when it is tried: when it was created, or when somebody asked to try again.';
comment on column notifications.state is 'waiting, sent, failed.';
comment on column notifications.attempts is 'How often it was tried.';
comment on column notifications.next_try_at is 'Not before then; by the database''s clock.';
comment on column notifications.last_error is 'Why the last attempt failed. Without addresses and secrets.';
comment on column notifications.sent_at is 'When the receiver had taken it.';
comment on column notifications.failed_at is 'When it was given up.';
comment on column notifications.leased_by is 'Replica that delivers it now.';
comment on column notifications.leased_until is 'Until then nobody else does; by the database''s clock.';
create index notifications_waiting on notifications (next_try_at) where state = 'waiting';
create index notifications_matter on notifications (destination, dedup_key, id) where state = 'waiting';
create index notifications_release on notifications (release) where release is not null;

grant select, insert, update on destinations, notifications to tidegate_app;
