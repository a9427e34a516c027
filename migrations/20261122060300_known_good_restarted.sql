-- A version whose pods were restarted by a change of the template is the version it was: no way back leads to before that.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

alter table known_good
    add column restarted boolean not null default false,
    add constraint known_good_restarted_is_not_back check (not (restarted and back));

comment on column known_good.restarted is 'Only a restart tells its template from that of the record before it: the same version, under another hash.';
