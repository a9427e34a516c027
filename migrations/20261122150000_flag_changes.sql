-- Changes of flags that wait for an approver.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table flag_changes (
    id bigint generated always as identity,
    cluster text not null,
    namespace text not null,
    flag text not null,
    at timestamptz not null,
    person bigint,
    by text not null,
    reason text,
    before text not null,
    after text not null,
    why json not null,
    digest text not null,
    state text not null default 'open',
    decided json,
    constraint flag_changes_pkey primary key (id),
    constraint flag_changes_person_fkey foreign key (person) references people (id),
    constraint flag_changes_state check (state in ('open', 'applied', 'rejected', 'withdrawn')),
    constraint flag_changes_decided check ((state = 'open') = (decided is null))
);
comment on table flag_changes is 'A change of a flag that somebody asked an approver for.';
comment on column flag_changes.id is 'Identifier.';
comment on column flag_changes.cluster is 'Cluster.';
comment on column flag_changes.namespace is 'Namespace.';
comment on column flag_changes.flag is 'The flag''s key.';
comment on column flag_changes.at is 'When it was asked for.';
comment on column flag_changes.person is 'Who asks; null for a program that is nobody.';
comment on column flag_changes.by is 'Their name.';
comment on column flag_changes.reason is 'Why.';
comment on column flag_changes.before is 'The flag''s lines as they were; empty where it is new.';
comment on column flag_changes.after is 'The flag''s lines as they are to be; empty where it is to be removed.';
comment on column flag_changes.why is 'Why it needs an approver: what more users would get.';
comment on column flag_changes.digest is 'SHA-256 of all of it: what an approver names.';
comment on column flag_changes.state is 'open, applied, rejected or withdrawn.';
comment on column flag_changes.decided is 'Who ended it, when, and what they said; null while it is open.';
create unique index flag_changes_open on flag_changes (cluster, namespace, flag) where state = 'open';
create index flag_changes_flag on flag_changes (cluster, namespace, flag, id desc);

create constraint trigger flag_changes_audited after insert or update or delete on flag_changes
    deferrable initially deferred for each row execute function audit_required();

grant select, insert, update (state, decided) on flag_changes to tidegate_app;
