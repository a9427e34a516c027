-- Finds the steps whose samples have not been gone through.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create index samples_not_thinned on samples (release, step, at) where stands_for is null;
