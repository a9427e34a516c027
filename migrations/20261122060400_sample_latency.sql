-- What a verdict on latency rests on: how many requests were answered within each bound; and the share of the traffic that the
-- canary should have had.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

alter table samples
    add column latency_bounds_ms double precision[],
    add column stable_within double precision[],
    add column canary_within double precision[],
    add column asked double precision;
comment on column samples.latency_bounds_ms is 'Bounds of the latency histogram in milliseconds, rising; null where it could not be read.';
comment on column samples.stable_within is 'Stable, since the step''s weight was confirmed: requests answered within each bound, and all of them at the end.';
comment on column samples.canary_within is 'The canary''s.';
comment on column samples.asked is 'Share of requests that the canary should get, 0 to 1, where the counts must show it.';
