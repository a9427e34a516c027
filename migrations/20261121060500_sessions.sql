-- Sessions of signed-in browsers: the table that the crate tower-sessions-sqlx-store expects, made here so that
-- the application's role needs no right to create anything.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create schema tower_sessions;
comment on schema tower_sessions is 'Sessions of signed-in browsers, in the shape that tower-sessions-sqlx-store expects.';

create table tower_sessions.session (
    id text not null,
    data bytea not null,
    expiry_date timestamptz not null,
    constraint session_pkey primary key (id)
);
comment on table tower_sessions.session is 'One row a session.';
comment on column tower_sessions.session.id is 'Secret identifier, as in the cookie.';
comment on column tower_sessions.session.data is 'MessagePack.';
comment on column tower_sessions.session.expiry_date is 'From then on it is deleted.';
create index session_expiry_date on tower_sessions.session (expiry_date);

grant usage on schema tower_sessions to tidegate_app;
grant select, insert, update, delete on tower_sessions.session to tidegate_app;
