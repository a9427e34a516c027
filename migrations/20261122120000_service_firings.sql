-- A policy may fire on a service between releases too.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

alter table policy_firings alter column release drop not null;
alter table policy_firings alter column step drop not null;
alter table policy_firings add column workload text;
alter table policy_firings add column subject json;
alter table policy_firings add constraint policy_firings_of_one check (
    (release is null) = (step is null) and (release is null) = (workload is not null)
    and (workload is null) = (subject is null));
comment on table policy_firings is 'A policy that fired: on a release, at most once a step, or on a service between releases, one at a time.';
comment on column policy_firings.release is 'Release; null where it fired on a service.';
comment on column policy_firings.step is 'Step of its plan, from 0.';
comment on column policy_firings.workload is 'Workload whose service it fired on between releases: cluster/namespace/kind/name.';
comment on column policy_firings.subject is 'That service and its version, as they were when it fired.';
create unique index policy_firings_service on policy_firings (workload) where release is null and ended is null;
create index policy_firings_workload on policy_firings (workload, id desc) where release is null;
