-- People with accounts, bearer tokens, and the sign-in attempts that the rate limit counts.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table people (
    id bigint generated always as identity,
    email text not null,
    name text not null,
    password_hash text,
    grants jsonb not null,
    disabled timestamptz,
    created timestamptz not null,
    constraint people_pkey primary key (id),
    constraint people_grants_array check (jsonb_typeof(grants) = 'array')
);
comment on table people is 'People with an account.';
comment on column people.id is 'Identifier, never used again.';
comment on column people.email is 'Signs in with it; unique whatever its case.';
comment on column people.name is 'As the history shows them.';
comment on column people.password_hash is 'Argon2id in PHC string format; null: cannot sign in by password.';
comment on column people.grants is 'Array of {role, environment?}: without environment it holds everywhere.';
comment on column people.disabled is 'Since when the account is closed; null while it is open.';
comment on column people.created is 'When the account was made.';
create unique index people_email_key on people (lower(email));

create table tokens (
    id bigint generated always as identity,
    hash text not null,
    name text not null,
    person bigint,
    grants jsonb not null,
    created timestamptz not null,
    expires timestamptz not null,
    revoked timestamptz,
    constraint tokens_pkey primary key (id),
    constraint tokens_hash_key unique (hash),
    constraint tokens_hash_hex check (hash ~ '^[0-9a-f]{64}$'),
    constraint tokens_grants_array check (jsonb_typeof(grants) = 'array'),
    constraint tokens_person_fkey foreign key (person) references people (id)
);
comment on table tokens is 'Bearer tokens for programs.';
comment on column tokens.id is 'Identifier.';
comment on column tokens.hash is 'SHA-256 of the secret in hex; the secret itself is shown once and kept nowhere.';
comment on column tokens.name is 'What it is for.';
comment on column tokens.person is 'Whose it is; null for a program that is nobody.';
comment on column tokens.grants is 'Array of {role, environment?}.';
comment on column tokens.created is 'When it was issued.';
comment on column tokens.expires is 'From then on it is refused.';
comment on column tokens.revoked is 'Since when it is withdrawn; null while it stands.';
create index tokens_person on tokens (person) where person is not null;

create table sign_in_attempts (
    id bigint generated always as identity,
    subject text not null,
    at timestamptz not null,
    constraint sign_in_attempts_pkey primary key (id)
);
comment on table sign_in_attempts is 'Attempts to sign in, for the rate limit only. Older than a day they are deleted.';
comment on column sign_in_attempts.id is 'Identifier.';
comment on column sign_in_attempts.subject is 'What is limited: an address tried, or where it came from.';
comment on column sign_in_attempts.at is 'When.';
create index sign_in_attempts_subject on sign_in_attempts (subject, at);
create index sign_in_attempts_at on sign_in_attempts (at);

create constraint trigger people_audited after insert or update or delete on people
    deferrable initially deferred for each row execute function audit_required();
create constraint trigger tokens_audited after insert or update or delete on tokens
    deferrable initially deferred for each row execute function audit_required();

grant select, insert, update on people, tokens to tidegate_app;
-- Update only because `for update skip locked` asks for it.
grant select, insert, update, delete on sign_in_attempts to tidegate_app;
