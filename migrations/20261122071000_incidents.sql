-- Incidents, and what people wrote about them.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table incidents (
    id bigint generated always as identity,
    version bigint not null default 1,
    key text,
    document json not null,
    state text not null generated always as (document ->> 'state') stored,
    severity text not null generated always as (document ->> 'severity') stored,
    service text not null generated always as (document ->> 'service') stored,
    environment text not null generated always as (document ->> 'environment') stored,
    release bigint generated always as ((document ->> 'release')::bigint) stored,
    public boolean not null generated always as ((document ->> 'public')::boolean) stored,
    lead bigint generated always as ((document -> 'lead' ->> 'person')::bigint) stored,
    constraint incidents_pkey primary key (id),
    constraint incidents_key_key unique (key),
    constraint incidents_version_positive check (version > 0),
    constraint incidents_state_known check (state in ('open', 'watching', 'resolved')),
    constraint incidents_severity_known check (severity in ('low', 'medium', 'high', 'critical')),
    constraint incidents_release_fkey foreign key (release) references releases (id),
    constraint incidents_lead_fkey foreign key (lead) references people (id)
);
comment on table incidents is 'What users felt, from the alarm until it is over.';
comment on column incidents.id is 'Identifier.';
comment on column incidents.version is 'Raised by each write: nobody writes over what they have not read.';
comment on column incidents.key is 'What it is about, as policy-firing:17: opened again it is the same incident. Null for one opened by hand.';
comment on column incidents.document is 'The whole incident. The columns that follow are drawn from it by the database, so they cannot disagree with it.';
comment on column incidents.state is 'open, watching, resolved.';
comment on column incidents.severity is 'low, medium, high, critical.';
comment on column incidents.service is 'Service.';
comment on column incidents.environment is 'Environment.';
comment on column incidents.release is 'Release that it is about; null if none.';
comment on column incidents.public is 'Whether the public page tells of it.';
comment on column incidents.lead is 'Who looks after it; null while nobody in particular does.';
create index incidents_unresolved on incidents (id desc) where state <> 'resolved';
create index incidents_public on incidents (id desc) where public;
create index incidents_service on incidents (service, id desc);
create index incidents_release on incidents (release) where release is not null;

create table incident_entries (
    id bigint generated always as identity,
    incident bigint not null,
    at timestamptz not null,
    author text not null,
    words text not null,
    shown text,
    impact text,
    constraint incident_entries_pkey primary key (id),
    constraint incident_entries_incident_fkey foreign key (incident) references incidents (id),
    constraint incident_entries_words_short check (char_length(words) <= 500),
    constraint incident_entries_update_whole check ((shown is null) = (impact is null)),
    constraint incident_entries_shown_known check (shown in ('investigating', 'identified', 'monitoring', 'resolved')),
    constraint incident_entries_impact_known check (impact in ('none', 'minor', 'major', 'critical'))
);
comment on table incident_entries is 'Notes about an incident, and what the public was told. Written once.';
comment on column incident_entries.id is 'Identifier; in the order in which they were written.';
comment on column incident_entries.incident is 'Incident.';
comment on column incident_entries.at is 'When.';
comment on column incident_entries.author is 'Who, as the history shows them.';
comment on column incident_entries.words is 'What they wrote.';
comment on column incident_entries.shown is 'For the public: investigating, identified, monitoring, resolved. Null for a note.';
comment on column incident_entries.impact is 'For the public: none, minor, major, critical. Null for a note.';
create index incident_entries_incident on incident_entries (incident, id);

create constraint trigger incidents_audited after insert or update or delete on incidents
    deferrable initially deferred for each row execute function audit_required();
create constraint trigger incident_entries_audited after insert or update or delete on incident_entries
    deferrable initially deferred for each row execute function audit_required();

grant select, insert, update on incidents to tidegate_app;
grant select, insert on incident_entries to tidegate_app;

-- Events about an incident, for its timeline.
create index audit_events_incident on audit_events (((detail::jsonb ->> 'incident'))) where action like 'incident.%';
