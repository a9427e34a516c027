-- How each known-good version came to carry all traffic: what a rollback took back must never be gone back to.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

alter table known_good
    add column hash text not null generated always as (document ->> 'hash') stored,
    add column back boolean not null default false,
    add column left_hash text,
    add constraint known_good_left_by_a_rollback check (back or left_hash is null);

comment on column known_good.hash is 'Hash of its pods, drawn from the document: the record is read without the templates.';
comment on column known_good.back is 'A rollback led to it; false where it was deployed.';
comment on column known_good.left_hash is 'Hash of the version that the rollback left; null where the controller had not named it.';
