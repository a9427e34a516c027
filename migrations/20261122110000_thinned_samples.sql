-- Samples older than a day are thinned out to one a minute, and removed after a configured time. What a verdict rests on stays.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

alter table samples add column stands_for bigint;
alter table samples add constraint samples_stands_for_positive check (stands_for > 0) not valid;
comment on column samples.stands_for is 'How many samples it is kept for, itself included, where those before it were thinned out; null as long as its step has not been gone through.';

grant delete on samples to tidegate_app;
grant update (stands_for) on samples to tidegate_app;
