-- The role that every connection of the application takes on. It cannot log in; it owns nothing; what it may do
-- is granted table by table in the migrations that follow. Roles belong to the whole Postgres server, so another
-- database may have made it already, or may be making it at this moment.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

do $$
declare
    -- Since Postgres 16 a member may be one who may not take the role on.
    needed constant text :=
        case when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end;
begin
    for try in 1..20 loop
        begin
            if not exists (select from pg_catalog.pg_roles where rolname = 'tidegate_app') then
                create role tidegate_app nologin;
            end if;
            -- Whoever migrates may also be whom the application logs in as.
            if not pg_catalog.pg_has_role(current_user, 'tidegate_app', needed) then
                execute format('grant tidegate_app to %I', current_user);
            end if;
            return;
        exception
            when duplicate_object or unique_violation then null;
            -- 'tuple concurrently updated': two databases granted the role at once.
            when internal_error then if try = 20 then raise; end if;
        end;
        perform pg_catalog.pg_sleep(0.05);
    end loop;
end
$$;

grant usage on schema public to tidegate_app;
