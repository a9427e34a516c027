-- Rollback policies: the files as they were read, what fired, what was done about it, and who let a service be released again.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table policy_files (
    id bigint generated always as identity,
    cluster text not null,
    namespace text not null,
    at timestamptz not null,
    text text,
    faults json,
    by text not null,
    outside boolean not null,
    constraint policy_files_pkey primary key (id)
);
comment on table policy_files is 'Each content that a ConfigMap rollback-policies was seen to have, or was given. Written once; the newest without faults is in force.';
comment on column policy_files.id is 'Identifier; the highest of a namespace is what it holds now.';
comment on column policy_files.cluster is 'Cluster.';
comment on column policy_files.namespace is 'Namespace.';
comment on column policy_files.at is 'When it was written, as far as is known; else when it was seen.';
comment on column policy_files.text is 'The file, as it was written; null where it is gone.';
comment on column policy_files.faults is 'Why it is not in force: every fault at its field. Null where there is none.';
comment on column policy_files.by is 'Who wrote it: a person, or what the API server names who wrote past Tidegate.';
comment on column policy_files.outside is 'Whether it was written past Tidegate.';
create index policy_files_place on policy_files (cluster, namespace, id desc);

create table policy_firings (
    id bigint generated always as identity,
    release bigint not null,
    step bigint not null,
    file bigint not null,
    policy text not null,
    at timestamptz not null,
    document json not null,
    stopped json,
    ended timestamptz,
    constraint policy_firings_pkey primary key (id),
    constraint policy_firings_once unique (release, step),
    constraint policy_firings_release_fkey foreign key (release) references releases (id),
    constraint policy_firings_file_fkey foreign key (file) references policy_files (id)
);
comment on table policy_firings is 'A policy that fired on a release, at most once a step.';
comment on column policy_firings.id is 'Identifier.';
comment on column policy_firings.release is 'Release.';
comment on column policy_firings.step is 'Step of its plan, from 0.';
comment on column policy_firings.file is 'File that the policy is from.';
comment on column policy_firings.policy is 'Its name.';
comment on column policy_firings.at is 'When.';
comment on column policy_firings.document is 'The policy as it was, and the readings that made it fire.';
comment on column policy_firings.stopped is 'Who stopped its rollback, when and why; null where nobody did.';
comment on column policy_firings.ended is 'When nothing was left to be done for it.';
create index policy_firings_open on policy_firings (id) where ended is null;
create index policy_firings_file on policy_firings (file);

create table policy_actions (
    firing bigint not null,
    place bigint not null,
    at timestamptz not null,
    words text not null,
    constraint policy_actions_pkey primary key (firing, place),
    constraint policy_actions_firing_fkey foreign key (firing) references policy_firings (id)
);
comment on table policy_actions is 'What was done for a firing: each action of its policy at most once.';
comment on column policy_actions.firing is 'Firing.';
comment on column policy_actions.place is 'Place of the action in its policy, from 0.';
comment on column policy_actions.at is 'When.';
comment on column policy_actions.words is 'What came of it, in words.';

create table policy_readings (
    release bigint not null,
    at timestamptz not null,
    values json not null,
    constraint policy_readings_pkey primary key (release, at),
    constraint policy_readings_release_fkey foreign key (release) references releases (id)
);
comment on table policy_readings is 'What a policy had read beside a release''s samples: pods that restart, its own queries. Evidence, not state.';
comment on column policy_readings.release is 'Release.';
comment on column policy_readings.at is 'Time of the sample that it stands beside.';
comment on column policy_readings.values is 'Each figure and its value.';

create table breaker_lifts (
    id bigint generated always as identity,
    cluster text not null,
    namespace text not null,
    kind text not null,
    name text not null,
    at timestamptz not null,
    by text not null,
    constraint breaker_lifts_pkey primary key (id)
);
comment on table breaker_lifts is 'A person has looked: automatic rollbacks before this no longer keep the service from being released.';
comment on column breaker_lifts.id is 'Identifier.';
comment on column breaker_lifts.cluster is 'Workload: cluster.';
comment on column breaker_lifts.namespace is 'Workload: namespace.';
comment on column breaker_lifts.kind is 'Workload: kind.';
comment on column breaker_lifts.name is 'Workload: name.';
comment on column breaker_lifts.at is 'When.';
comment on column breaker_lifts.by is 'Who.';
create index breaker_lifts_workload on breaker_lifts (cluster, namespace, kind, name, at desc);

create constraint trigger policy_files_audited after insert or update or delete on policy_files
    deferrable initially deferred for each row execute function audit_required();
create constraint trigger policy_firings_audited after insert or update or delete on policy_firings
    deferrable initially deferred for each row execute function audit_required();
create constraint trigger policy_actions_audited after insert or update or delete on policy_actions
    deferrable initially deferred for each row execute function audit_required();
create constraint trigger breaker_lifts_audited after insert or update or delete on breaker_lifts
    deferrable initially deferred for each row execute function audit_required();

grant select, insert on policy_files, policy_actions, policy_readings, breaker_lifts to tidegate_app;
grant select, insert, update (stopped, ended) on policy_firings to tidegate_app;
