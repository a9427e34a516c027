-- Rollbacks rehearsed before a release may start.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table rehearsals (
    id bigint generated always as identity,
    plan bigint not null,
    plan_version bigint not null,
    digest text not null,
    at timestamptz not null,
    passed boolean not null,
    document json not null,
    constraint rehearsals_pkey primary key (id),
    constraint rehearsals_plan_fkey foreign key (plan, plan_version, digest)
        references plan_versions (plan, version, digest)
);
comment on table rehearsals is 'What was found when the rollback of a plan''s version was tried on the cluster without changing it. Written once.';
comment on column rehearsals.id is 'Identifier; of several for a version the highest counts.';
comment on column rehearsals.plan is 'Plan.';
comment on column rehearsals.plan_version is 'Version it was rehearsed for.';
comment on column rehearsals.digest is 'Digest it was rehearsed for; with the version it must name a version that exists.';
comment on column rehearsals.at is 'When.';
comment on column rehearsals.passed is 'Whether every check passed.';
comment on column rehearsals.document is 'The whole rehearsal: workload, known-good revision, checks, findings, time it takes.';
create index rehearsals_plan on rehearsals (plan, plan_version, id desc);

create constraint trigger rehearsals_audited after insert or update or delete on rehearsals
    deferrable initially deferred for each row execute function audit_required();

grant select, insert on rehearsals to tidegate_app;
