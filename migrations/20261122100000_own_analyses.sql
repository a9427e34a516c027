-- Analyses that Tidegate runs by itself stand beside those of Argo Rollouts.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

alter table release_analyses
    add column runner text not null default 'argo-rollouts',
    add constraint release_analyses_runner_known check (runner in ('argo-rollouts', 'tidegate'));
comment on column release_analyses.runner is 'Who ran it: argo-rollouts, its controller; or tidegate, by itself, for a step of the plan.';
comment on table release_analyses is 'Analyses that decided about a release: the controller''s AnalysisRuns as they were last seen, and those of Tidegate''s own. Evidence, not state: written without an event.';
comment on column release_analyses.stage is 'What it decides: step, background, pre_promotion, post_promotion or other; plan of Tidegate''s own.';
comment on column release_analyses.step is 'Of stage step: the Rollout''s own step, of stage plan: the plan''s, counted from 0.';

create index release_analyses_open on release_analyses (release) where runner = 'tidegate' and phase in ('Pending', 'Running');
