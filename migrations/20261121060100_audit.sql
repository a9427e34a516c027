-- The audit chain: append only, gapless, for every role there is.
--
-- Three layers. The application's role may only select and insert. A trigger refuses update, delete and truncate
-- whoever tries, in replication too. Whoever may disable triggers still breaks the chain of hashes, and
-- `tidegate audit verify` names the row.
--
-- The head's row makes the chain: it is locked from an event's turn until its transaction ends, so events are
-- numbered in the order in which they are committed, without gaps.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table audit_events (
    seq bigint not null,
    at timestamptz not null,
    recorded timestamptz not null default clock_timestamp(),
    actor text not null,
    person bigint,
    via text not null,
    action text not null,
    environment text,
    service text,
    plan bigint,
    release bigint,
    summary text not null,
    reason text,
    detail text not null,
    previous text not null,
    hash text not null,
    constraint audit_events_pkey primary key (seq),
    constraint audit_events_seq_positive check (seq > 0),
    constraint audit_events_via_known check (via in ('browser', 'api', 'cli', 'system')),
    constraint audit_events_previous_hex check (previous ~ '^[0-9a-f]{64}$'),
    constraint audit_events_hash_hex check (hash ~ '^[0-9a-f]{64}$')
);
comment on table audit_events is 'Every change of state, one row each, chained by hash. Append only. Names no row of other tables by foreign key: it outlives them.';
comment on column audit_events.seq is 'Place in the chain: 1, 2, 3 … without gaps.';
comment on column audit_events.at is 'When it happened; for a journalled rollback earlier than when it was recorded.';
comment on column audit_events.recorded is 'When the row was written, by the database''s clock. Not part of the hash.';
comment on column audit_events.actor is 'Who, as the history shows it: a person''s name, or a part of Tidegate.';
comment on column audit_events.person is 'people.id of the actor; null for Tidegate itself.';
comment on column audit_events.via is 'By which door: browser, api, cli, system.';
comment on column audit_events.action is 'Dotted verb, subject first: plan.created, release.weight.raised.';
comment on column audit_events.environment is 'Environment concerned.';
comment on column audit_events.service is 'Service concerned.';
comment on column audit_events.plan is 'plans.id concerned.';
comment on column audit_events.release is 'releases.id concerned.';
comment on column audit_events.summary is 'One sentence for people.';
comment on column audit_events.reason is 'Why, where a person gave a reason.';
comment on column audit_events.detail is 'Facts for programs: canonical JSON (RFC 8785). Text, so that what was hashed is what is kept.';
comment on column audit_events.previous is 'Hash of the event before; 64 zeros for the first.';
comment on column audit_events.hash is 'SHA-256 over canonical JSON of the event, its place and the hash before it, in hex.';

create index audit_events_release on audit_events (release, seq) where release is not null;
create index audit_events_plan on audit_events (plan, seq) where plan is not null;
create index audit_events_service on audit_events (service, seq) where service is not null;

create table audit_head (
    only_row boolean not null default true,
    seq bigint not null,
    hash text not null,
    written_by xid8,
    constraint audit_head_pkey primary key (only_row),
    constraint audit_head_one_row check (only_row)
);
comment on table audit_head is 'One row: the end of the chain. Shows a cut tail, and orders writers.';
comment on column audit_head.only_row is 'Always true: there is one row.';
comment on column audit_head.seq is 'seq of the last event; 0 before the first.';
comment on column audit_head.hash is 'hash of the last event; 64 zeros before the first.';
comment on column audit_head.written_by is 'Transaction that wrote the last event: how the other tables'' triggers know that theirs wrote one.';

insert into audit_head (seq, hash) values (0, repeat('0', 64));

create function audit_refuse() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception '% on % is refused: the audit history is append only', tg_op, tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;
comment on function audit_refuse() is 'Raises, whoever asks.';

create trigger audit_events_append_only
    before update or delete or truncate on audit_events
    for each statement execute function audit_refuse();
alter table audit_events enable always trigger audit_events_append_only;

create trigger audit_head_stays
    before delete or truncate on audit_head
    for each statement execute function audit_refuse();
alter table audit_head enable always trigger audit_head_stays;

-- The application's role may not write the head itself: it locks it by the first function, and the second, a
-- trigger, moves it on, and only to an event that continues the chain.
create function audit_lock_head(out seq bigint, out hash text)
    language sql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
    select h.seq, h.hash from public.audit_head h for update
$$;
comment on function audit_lock_head() is 'The end of the chain, locked until the transaction ends.';

create function audit_move_head() returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    update public.audit_head h
       set seq = new.seq, hash = new.hash, written_by = pg_current_xact_id()
     where h.seq = new.seq - 1 and h.hash = new.previous;
    if not found then
        raise exception 'event % does not continue the audit chain', new.seq
            using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end
$$;
comment on function audit_move_head() is 'Moves the head to an event that continues the chain; refuses any other.';

create trigger audit_events_continue
    after insert on audit_events
    for each row execute function audit_move_head();
alter table audit_events enable always trigger audit_events_continue;

-- Hung as a deferred constraint trigger on each table that holds state: at commit, the transaction must have
-- written an event. A migration that moves data disables the trigger for itself.
create function audit_required() returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (select from public.audit_head h where h.written_by = pg_current_xact_id()) then
        raise exception 'a change of % was to be committed without an audit event', tg_table_name
            using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end
$$;
comment on function audit_required() is 'Refuses to commit a change of state without an audit event in the same transaction.';

revoke all on function audit_refuse(), audit_lock_head(), audit_move_head(), audit_required() from public;
grant execute on function audit_lock_head() to tidegate_app;
revoke all on audit_events, audit_head from public, tidegate_app;
grant select, insert on audit_events to tidegate_app;
grant select on audit_head to tidegate_app;
