-- What the ConfigMaps and Secrets of a known-good version held when it was recorded: evidence, told beside a rollback.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table known_good_config (
    record bigint not null,
    at timestamptz not null,
    document json not null,
    constraint known_good_config_pkey primary key (record),
    constraint known_good_config_record_fkey foreign key (record) references known_good (id)
);
comment on table known_good_config is 'ConfigMaps and Secrets that a known-good version refers to, as they were when it was recorded. Written once.';
comment on column known_good_config.record is 'The record of the version.';
comment on column known_good_config.at is 'When they were read.';
comment on column known_good_config.document is 'Array of {kind, name, state}: a ConfigMap''s content; of a Secret only its resourceVersion.';

grant select, insert on known_good_config to tidegate_app;
