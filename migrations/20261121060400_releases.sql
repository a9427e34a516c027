-- Releases, who drives them, what was attempted, what was measured, and the way back.
-- Columns of type json, not jsonb, keep a document exactly as it was written: the way back must not be
-- rewritten by its storage.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table releases (
    id bigint generated always as identity,
    revision bigint not null default 1,
    document json not null,
    plan bigint not null generated always as ((document ->> 'plan')::bigint) stored,
    plan_version bigint not null generated always as ((document ->> 'plan_version')::bigint) stored,
    digest text not null generated always as (document ->> 'digest') stored,
    service text not null generated always as (document ->> 'service') stored,
    environment text not null generated always as (document ->> 'environment') stored,
    cluster text not null generated always as (document -> 'workload' ->> 'cluster') stored,
    namespace text not null generated always as (document -> 'workload' ->> 'namespace') stored,
    kind text not null generated always as (document -> 'workload' ->> 'kind') stored,
    name text not null generated always as (document -> 'workload' ->> 'name') stored,
    state text not null generated always as (document ->> 'state') stored,
    course text not null generated always as (document ->> 'course') stored,
    constraint releases_pkey primary key (id),
    constraint releases_plan_fkey foreign key (plan, plan_version, digest)
        references plan_versions (plan, version, digest),
    constraint releases_kind_known check (kind in ('Rollout', 'Deployment')),
    constraint releases_state_known check (state in ('queued', 'running', 'waiting', 'paused', 'rolling_back',
        'rolled_back', 'succeeded', 'failed', 'cancelled')),
    constraint releases_course_known check (course in ('forward', 'abort', 'roll_back'))
);
comment on table releases is 'One execution of a plan''s exact version: all that the conductor knows beside the cluster itself.';
comment on column releases.id is 'Identifier.';
comment on column releases.revision is 'Raised by each write: nobody writes over what they have not read.';
comment on column releases.document is 'The whole release, the way back included. The columns that follow are drawn from it by the database, so they cannot disagree with it.';
comment on column releases.plan is 'Plan that runs.';
comment on column releases.plan_version is 'Version that runs.';
comment on column releases.digest is 'Digest that runs.';
comment on column releases.service is 'Service.';
comment on column releases.environment is 'Environment.';
comment on column releases.cluster is 'Where the workload is: cluster.';
comment on column releases.namespace is 'Where the workload is: namespace.';
comment on column releases.kind is 'Where the workload is: kind.';
comment on column releases.name is 'Where the workload is: name.';
comment on column releases.state is 'The nine words of the REST API.';
comment on column releases.course is 'What is wanted: forward, abort, roll_back. Never becomes forward again.';

create unique index releases_one_active on releases (cluster, namespace, kind, name)
    where state not in ('rolled_back', 'succeeded', 'failed', 'cancelled');
create index releases_workload on releases (cluster, namespace, kind, name, id desc);
create index releases_plan on releases (plan, plan_version);
create index releases_service on releases (service, id desc);
create index releases_state on releases (state, id desc);

create table leases (
    release bigint not null,
    holder text not null,
    epoch bigint not null,
    expires timestamptz not null,
    constraint leases_pkey primary key (release),
    constraint leases_epoch_positive check (epoch > 0),
    constraint leases_release_fkey foreign key (release) references releases (id)
);
comment on table leases is 'Which replica drives a release. Coordination, not state: not audited.';
comment on column leases.release is 'Release that is driven.';
comment on column leases.holder is 'Replica that drives it.';
comment on column leases.epoch is 'Raised by one with each new holder; a write that names an older one is refused.';
comment on column leases.expires is 'By the database''s clock; from then on another may take it.';
create index leases_holder on leases (holder);

create table attempts (
    id text not null,
    release bigint,
    effect json not null,
    begun timestamptz not null,
    settled timestamptz,
    happened boolean,
    words text,
    constraint attempts_pkey primary key (id),
    constraint attempts_release_fkey foreign key (release) references releases (id),
    constraint attempts_settled_whole check ((settled is null) = (happened is null))
);
comment on table attempts is 'Every effect on the cluster, written before it is tried.';
comment on column attempts.id is 'The attempt''s id, also annotated on the object.';
comment on column attempts.release is 'Release it is of; null for a rollback of a workload that no release touched.';
comment on column attempts.effect is 'What was tried.';
comment on column attempts.begun is 'When it was announced.';
comment on column attempts.settled is 'When its outcome was known; null while it is not.';
comment on column attempts.happened is 'Whether it took effect; null while not known.';
comment on column attempts.words is 'The outcome, in words.';
create index attempts_release on attempts (release, begun) where release is not null;

create table samples (
    id bigint generated always as identity,
    release bigint not null,
    at timestamptz not null,
    step bigint not null,
    weight bigint not null,
    stable_requests double precision not null,
    stable_errors double precision not null,
    stable_p95_ms double precision,
    canary_requests double precision not null,
    canary_errors double precision not null,
    canary_p95_ms double precision,
    stable_recent_requests double precision not null,
    stable_recent_errors double precision not null,
    stable_recent_p95_ms double precision,
    canary_recent_requests double precision not null,
    canary_recent_errors double precision not null,
    canary_recent_p95_ms double precision,
    error text,
    constraint samples_pkey primary key (id),
    constraint samples_release_fkey foreign key (release) references releases (id),
    constraint samples_weight_percent check (weight between 0 and 100)
);
comment on table samples is 'Canary against stable, as measured: what verdicts are computed from and charts drawn from.';
comment on column samples.id is 'Identifier.';
comment on column samples.release is 'Release.';
comment on column samples.at is 'When.';
comment on column samples.step is 'Index of the step in force.';
comment on column samples.weight is 'Canary''s confirmed weight in percent.';
comment on column samples.stable_requests is 'Stable, since the step''s weight was confirmed: requests.';
comment on column samples.stable_errors is 'Of these, answered with 5xx.';
comment on column samples.stable_p95_ms is '95th percentile of their latency in milliseconds.';
comment on column samples.canary_requests is 'Canary, since the step''s weight was confirmed: requests.';
comment on column samples.canary_errors is 'Of these, answered with 5xx.';
comment on column samples.canary_p95_ms is '95th percentile of their latency in milliseconds.';
comment on column samples.stable_recent_requests is 'Stable, over the last 30 s: requests.';
comment on column samples.stable_recent_errors is 'Of these, answered with 5xx.';
comment on column samples.stable_recent_p95_ms is '95th percentile of their latency in milliseconds.';
comment on column samples.canary_recent_requests is 'Canary, over the last 30 s: requests.';
comment on column samples.canary_recent_errors is 'Of these, answered with 5xx.';
comment on column samples.canary_recent_p95_ms is '95th percentile of their latency in milliseconds.';
comment on column samples.error is 'Why the metrics could not be read, when they could not.';
create index samples_release on samples (release, at);

create table verdicts (
    id bigint generated always as identity,
    release bigint not null,
    at timestamptz not null,
    step bigint not null,
    class text not null,
    document json not null,
    constraint verdicts_pkey primary key (id),
    constraint verdicts_release_fkey foreign key (release) references releases (id),
    constraint verdicts_class_known check (class in ('pass', 'marginal', 'fail', 'no-data'))
);
comment on table verdicts is 'What was concluded from the samples.';
comment on column verdicts.id is 'Identifier.';
comment on column verdicts.release is 'Release.';
comment on column verdicts.at is 'When.';
comment on column verdicts.step is 'Index of the step.';
comment on column verdicts.class is 'pass, marginal, fail, no-data.';
comment on column verdicts.document is 'The whole verdict: words, metrics, limits, figures.';
create index verdicts_release on verdicts (release, at);

create table known_good (
    id bigint generated always as identity,
    cluster text not null,
    namespace text not null,
    kind text not null,
    name text not null,
    document json not null,
    release bigint,
    at timestamptz not null,
    constraint known_good_pkey primary key (id),
    constraint known_good_kind_known check (kind in ('Rollout', 'Deployment')),
    constraint known_good_release_fkey foreign key (release) references releases (id)
);
comment on table known_good is 'Each version of a workload that is known to be good, the newest last: where a rollback leads to.';
comment on column known_good.id is 'Identifier; the highest is the newest.';
comment on column known_good.cluster is 'Where the workload is: cluster.';
comment on column known_good.namespace is 'Where the workload is: namespace.';
comment on column known_good.kind is 'Where the workload is: kind.';
comment on column known_good.name is 'Where the workload is: name.';
comment on column known_good.document is 'Template, steps, hash, images, revision.';
comment on column known_good.release is 'Release that ended on it or began from it; null if none.';
comment on column known_good.at is 'When it was recorded.';
create index known_good_workload on known_good (cluster, namespace, kind, name, id desc);

create table journal_merged (
    attempt text not null,
    at timestamptz not null default clock_timestamp(),
    constraint journal_merged_pkey primary key (attempt)
);
comment on table journal_merged is 'Entries of the rollback journal on disk that are in the chain already: each is merged once.';
comment on column journal_merged.attempt is 'Attempt id of the entry.';
comment on column journal_merged.at is 'When it was merged.';

create constraint trigger releases_audited after insert or update or delete on releases
    deferrable initially deferred for each row execute function audit_required();
create constraint trigger attempts_audited after insert or update or delete on attempts
    deferrable initially deferred for each row execute function audit_required();
create constraint trigger known_good_audited after insert or update or delete on known_good
    deferrable initially deferred for each row execute function audit_required();
create constraint trigger journal_merged_audited after insert or update or delete on journal_merged
    deferrable initially deferred for each row execute function audit_required();

grant select, insert, update on releases, leases, attempts to tidegate_app;
grant select, insert on samples, verdicts, known_good, journal_merged to tidegate_app;
