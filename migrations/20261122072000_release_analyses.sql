-- Analyses that Argo Rollouts ran for a release. It keeps the newest ten measurements of each metric, and deletes old runs: this outlives both.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table release_analyses (
    release bigint not null,
    uid text not null,
    name text not null,
    stage text not null,
    step bigint,
    hash text,
    phase text not null,
    message text,
    progress bigint not null,
    document json not null,
    updated_at timestamptz not null default clock_timestamp(),
    constraint release_analyses_pkey primary key (release, uid),
    constraint release_analyses_release_fkey foreign key (release) references releases (id)
);
comment on table release_analyses is 'AnalysisRuns of the controller that decided about a release, as they were last seen. Evidence, not state: written without an event.';
comment on column release_analyses.release is 'Release.';
comment on column release_analyses.uid is 'The run''s UID: unlike any other''s, also of one of the same name later.';
comment on column release_analyses.name is 'The run''s name.';
comment on column release_analyses.stage is 'What it decides: step, background, pre_promotion, post_promotion or other.';
comment on column release_analyses.step is 'Of stage step: the Rollout''s own step, counted from 0.';
comment on column release_analyses.hash is 'Hash of the version that it looks at.';
comment on column release_analyses.phase is 'How it stands, as the controller spells it.';
comment on column release_analyses.message is 'Why, where the controller says so.';
comment on column release_analyses.progress is 'Grows with each measurement and at the end: what was seen earlier never replaces what was seen later.';
comment on column release_analyses.document is 'When it was made, what it asks for, and how it stands, without the measurements.';
comment on column release_analyses.updated_at is 'When this row was last written.';

create table release_measurements (
    release bigint not null,
    uid text not null,
    metric text not null,
    number bigint not null,
    finished boolean not null,
    document json not null,
    constraint release_measurements_pkey primary key (release, uid, metric, number),
    constraint release_measurements_run_fkey foreign key (release, uid) references release_analyses (release, uid),
    constraint release_measurements_number_positive check (number > 0)
);
comment on table release_measurements is 'Each measurement of such a run that was seen. Evidence, as the runs are.';
comment on column release_measurements.release is 'Release.';
comment on column release_measurements.uid is 'The run''s UID.';
comment on column release_measurements.metric is 'Metric.';
comment on column release_measurements.number is 'Number among the metric''s measurements, from 1. One that is missing was never seen.';
comment on column release_measurements.finished is 'Whether it is over. One that is over never changes.';
comment on column release_measurements.document is 'The measurement.';

grant select, insert, update on release_analyses, release_measurements to tidegate_app;
