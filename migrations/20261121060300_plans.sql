-- Plans with all their versions, and the approvals of them.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table plans (
    id bigint generated always as identity,
    name text not null,
    service text not null,
    environment text not null,
    version bigint not null,
    created timestamptz not null,
    changed timestamptz not null,
    constraint plans_pkey primary key (id),
    constraint plans_name_key unique (service, name),
    constraint plans_version_positive check (version > 0)
);
comment on table plans is 'A plan over all its versions.';
comment on column plans.id is 'Identifier.';
comment on column plans.name is 'Unique among the plans of a service.';
comment on column plans.service is 'Service of the newest version.';
comment on column plans.environment is 'Environment of the newest version.';
comment on column plans.version is 'Newest version. Raised by compare-and-set: of two editors one wins.';
comment on column plans.created is 'When version 1 was written.';
comment on column plans.changed is 'When the newest version was written.';
create index plans_changed on plans (changed desc, id desc);

create table plan_versions (
    plan bigint not null,
    version bigint not null,
    digest text not null,
    document text not null,
    author bigint,
    author_name text not null,
    at timestamptz not null,
    constraint plan_versions_pkey primary key (plan, version),
    constraint plan_versions_digest_key unique (plan, version, digest),
    constraint plan_versions_digest_form check (digest ~ '^sha256:[0-9a-f]{64}$'),
    constraint plan_versions_digest_fits check (digest = 'sha256:' || encode(sha256(convert_to(document, 'UTF8')), 'hex')),
    constraint plan_versions_plan_fkey foreign key (plan) references plans (id),
    constraint plan_versions_author_fkey foreign key (author) references people (id)
);
comment on table plan_versions is 'The content of each version of a plan. Written once.';
comment on column plan_versions.plan is 'Plan.';
comment on column plan_versions.version is '1, 2, 3 …';
comment on column plan_versions.digest is 'SHA-256 of the document: what is approved and what runs.';
comment on column plan_versions.document is 'Canonical JSON (RFC 8785), byte for byte what the digest covers.';
comment on column plan_versions.author is 'Who wrote this version; null for a program that is nobody.';
comment on column plan_versions.author_name is 'As the history shows them.';
comment on column plan_versions.at is 'When.';

create table approvals (
    plan bigint not null,
    version bigint not null,
    person bigint not null,
    digest text not null,
    name text not null,
    decision text not null,
    comment text,
    at timestamptz not null,
    expires timestamptz not null,
    revoked timestamptz,
    constraint approvals_pkey primary key (plan, version, person),
    constraint approvals_decision_known check (decision in ('approved', 'rejected')),
    constraint approvals_version_fkey foreign key (plan, version, digest)
        references plan_versions (plan, version, digest),
    constraint approvals_person_fkey foreign key (person) references people (id)
);
comment on table approvals is 'What each person last decided about each version. The history of decisions is in audit_events.';
comment on column approvals.plan is 'Plan.';
comment on column approvals.version is 'Version decided about.';
comment on column approvals.person is 'Who decided.';
comment on column approvals.digest is 'Digest decided about; with the version it must name a version that exists.';
comment on column approvals.name is 'As the history shows them.';
comment on column approvals.decision is 'approved or rejected.';
comment on column approvals.comment is 'What they said with it.';
comment on column approvals.at is 'When.';
comment on column approvals.expires is 'From then on it no longer counts.';
comment on column approvals.revoked is 'Since when it is taken back; null while it stands.';

create constraint trigger plans_audited after insert or update or delete on plans
    deferrable initially deferred for each row execute function audit_required();
create constraint trigger plan_versions_audited after insert or update or delete on plan_versions
    deferrable initially deferred for each row execute function audit_required();
create constraint trigger approvals_audited after insert or update or delete on approvals
    deferrable initially deferred for each row execute function audit_required();

grant select, insert, update on plans, approvals to tidegate_app;
grant select, insert on plan_versions to tidegate_app;
