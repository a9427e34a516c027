-- Feature flags: the files as they were read, the kill switches that were pressed, and the keys that services ask with.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table flag_files (
    id bigint generated always as identity,
    cluster text not null,
    namespace text not null,
    at timestamptz not null,
    text text,
    faults json,
    by text not null,
    outside boolean not null,
    constraint flag_files_pkey primary key (id)
);
comment on table flag_files is 'Each content that a ConfigMap feature-flags was seen to have, or was given. Written once; the newest without faults is served.';
comment on column flag_files.id is 'Identifier; the highest of a namespace is what it holds now.';
comment on column flag_files.cluster is 'Cluster.';
comment on column flag_files.namespace is 'Namespace.';
comment on column flag_files.at is 'When it was written, as far as is known; else when it was seen.';
comment on column flag_files.text is 'The file, as it was written; null where it is gone.';
comment on column flag_files.faults is 'Why it is not served: every fault at its field. Null where there is none.';
comment on column flag_files.by is 'Who wrote it: a person, or what the API server names who wrote past Tidegate.';
comment on column flag_files.outside is 'Whether it was written past Tidegate.';
create index flag_files_place on flag_files (cluster, namespace, id desc);

create table flag_kills (
    id bigint generated always as identity,
    cluster text not null,
    namespace text not null,
    flag text not null,
    at timestamptz not null,
    by text not null,
    reason text not null,
    text text not null,
    revived json,
    constraint flag_kills_pkey primary key (id)
);
comment on table flag_kills is 'A kill switch that was pressed. It keeps its flag off, whatever the file says, until a person revives it.';
comment on column flag_kills.id is 'Identifier.';
comment on column flag_kills.cluster is 'Cluster.';
comment on column flag_kills.namespace is 'Namespace.';
comment on column flag_kills.flag is 'The flag''s key.';
comment on column flag_kills.at is 'When.';
comment on column flag_kills.by is 'Who.';
comment on column flag_kills.reason is 'Why.';
comment on column flag_kills.text is 'What is left of the flag while it is killed, as a file of its own: its variants and whom it belongs to.';
comment on column flag_kills.revived is 'Who let it be turned on again, when and why; null while it is killed.';
create unique index flag_kills_open on flag_kills (cluster, namespace, flag) where revived is null;

create table flag_keys (
    id bigint generated always as identity,
    hash text not null,
    stream text not null,
    name text not null,
    cluster text not null,
    namespace text not null,
    environment text,
    created timestamptz not null,
    created_by text not null,
    revoked timestamptz,
    constraint flag_keys_pkey primary key (id),
    constraint flag_keys_hash unique (hash),
    constraint flag_keys_stream unique (stream)
);
comment on table flag_keys is 'A key that a service asks for flags with. It reads those of one namespace, and nothing else.';
comment on column flag_keys.id is 'Identifier.';
comment on column flag_keys.hash is 'SHA-256 of the secret, in lower-case hex. The secret is not kept.';
comment on column flag_keys.stream is 'In the address of its stream of changes.';
comment on column flag_keys.name is 'What it is for, in words.';
comment on column flag_keys.cluster is 'Cluster.';
comment on column flag_keys.namespace is 'Namespace.';
comment on column flag_keys.environment is 'Environment that it asks for; null for flags of every environment.';
comment on column flag_keys.created is 'When.';
comment on column flag_keys.created_by is 'Who issued it.';
comment on column flag_keys.revoked is 'Since when it opens nothing; null while it does.';

create constraint trigger flag_files_audited after insert or update or delete on flag_files
    deferrable initially deferred for each row execute function audit_required();
create constraint trigger flag_kills_audited after insert or update or delete on flag_kills
    deferrable initially deferred for each row execute function audit_required();
create constraint trigger flag_keys_audited after insert or update or delete on flag_keys
    deferrable initially deferred for each row execute function audit_required();

grant select, insert on flag_files to tidegate_app;
grant select, insert, update (revived) on flag_kills to tidegate_app;
grant select, insert, update (revoked) on flag_keys to tidegate_app;
