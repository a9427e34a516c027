//! OFREP 0.3, as its document has it: answers, refusals, what a browser needs, and streams of changes.

use crate::common::{Answer, Server, until};
use crate::flags::Flagged;
use crate::live::Stream;
use axum::body::Body;
use chrono::Utc;
use http::{HeaderMap, Request, Response};
use model::Role;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const FLAGS: &str = "\
zebra: {enabled: true, percentage: 100}
half: {enabled: true, percentage: 50}
german: {enabled: true, percentage: 100, conditions: [{type: country, operator: equals, value: DE}]}
there: {enabled: true, percentage: 100, environment: staging}
alpha: {enabled: false}
colour: {enabled: true, percentage: 100, variants: {blue: '#00f', red: '#f00'}, default_variant: red}
";
const KEYS: [&str; 6] = ["zebra", "half", "german", "there", "alpha", "colour"];
const ALL: &str = "/ofrep/v1/evaluate/flags";

fn request(path: &str, secret: &str) -> http::request::Builder {
    let request = Request::post(path).header("content-type", "application/json");
    request.header("authorization", format!("Bearer {secret}"))
}

fn user() -> Value {
    json!({"context": {"targetingKey": "user-1", "country": "DE"}})
}

async fn ask(server: &Server, request: http::request::Builder, body: impl ToString) -> Answer {
    Answer::read(server.send(request.body(Body::from(body.to_string())).unwrap()).await).await
}

async fn one(server: &Server, secret: &str, key: &str) -> Answer {
    ask(server, request(&format!("{ALL}/{key}"), secret), user()).await
}

async fn all(server: &Server, secret: &str) -> Answer {
    ask(server, request(ALL, secret), user()).await
}

/// The answer's value for a flag.
fn value<'a>(bulk: &'a Answer, key: &str) -> &'a Value {
    let flags = bulk.body["flags"].as_array().unwrap_or_else(|| panic!("{}", bulk.text));
    &flags.iter().find(|f| f["key"] == key).unwrap()["value"]
}

/// Is a refusal in the protocol's form.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str, key: Option<&str>) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.body["errorCode"], code, "{}", answer.text);
    assert!(answer.body["errorDetails"].as_str().is_some_and(|d| d.ends_with('.')), "{}", answer.text);
    assert_eq!(answer.body["key"].as_str(), key, "{}", answer.text);
}

#[tokio::test]
async fn one_flag_is_answered_and_refused_as_the_protocol_says() {
    let flagged = Flagged::new(FLAGS, &[]).await;
    let (server, (_, secret)) = (&flagged.server, flagged.key(None).await);
    let on = one(server, &secret, "zebra").await;
    assert_eq!(on.status, 200, "{}", on.text);
    assert_eq!(on.body, json!({"key": "zebra", "value": true, "reason": "STATIC", "variant": "on"}));
    assert_eq!(on.headers["cache-control"], "no-store");
    assert!(!on.headers.contains_key("set-cookie"));
    let german = one(server, &secret, "german").await;
    assert_eq!((&german.body["value"], &german.body["reason"]), (&json!(true), &json!("TARGETING_MATCH")));
    assert_eq!(one(server, &secret, "half").await.body["reason"], "SPLIT");
    assert_eq!(one(server, &secret, "alpha").await.body["reason"], "DISABLED");
    assert_eq!(one(server, &secret, "colour").await.body["value"], "#00f");
    let by_name = Request::post(format!("{ALL}/zebra")).header("x-api-key", &secret);
    assert_eq!(ask(server, by_name, user()).await.body["value"], true, "no content type, the other header");

    let at = |key: &str| request(&format!("{ALL}/{key}"), &secret);
    refused(&one(server, &secret, "nothing").await, 404, "FLAG_NOT_FOUND", Some("nothing"));
    refused(&ask(server, at("zebra"), "{").await, 400, "PARSE_ERROR", Some("zebra"));
    refused(&ask(server, at("zebra"), "").await, 400, "PARSE_ERROR", Some("zebra"));
    refused(&ask(server, at("zebra"), "{}").await, 400, "INVALID_CONTEXT", Some("zebra"));
    refused(&ask(server, at("zebra"), "{\"context\": 7}").await, 400, "INVALID_CONTEXT", Some("zebra"));
    refused(
        &ask(server, at("zebra"), "{\"context\": {}}").await,
        400,
        "TARGETING_KEY_MISSING",
        Some("zebra"),
    );
    let large = json!({"context": {"targetingKey": "x".repeat(300 << 10)}});
    refused(&ask(server, at("zebra"), large).await, 413, "GENERAL", Some("zebra"));
    let form = Request::post(format!("{ALL}/zebra")).header("x-api-key", &secret);
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    refused(&ask(server, form, user()).await, 415, "GENERAL", Some("zebra"));

    for stranger in [Request::post(format!("{ALL}/zebra")), request(&format!("{ALL}/zebra"), "tgf_guess")] {
        let answer = ask(server, stranger, user()).await;
        refused(&answer, 401, "GENERAL", Some("zebra"));
        assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer "));
    }
    // Nor does a person's token open it.
    let person = &server.tokens["administrator"];
    refused(&one(server, person, "zebra").await, 401, "GENERAL", Some("zebra"));
    let read = Request::get(format!("{ALL}/zebra")).header("x-api-key", &secret);
    refused(&ask(server, read, "").await, 405, "GENERAL", None);
    refused(&ask(server, request("/ofrep/v2/anything", &secret), "{}").await, 404, "GENERAL", None);
}

#[tokio::test]
async fn all_flags_are_answered_in_the_files_order_and_only_when_something_changed() {
    let flagged = Flagged::new(FLAGS, &[]).await;
    let (server, (_, secret)) = (&flagged.server, flagged.key(None).await);
    let whole = all(server, &secret).await;
    assert_eq!(whole.status, 200, "{}", whole.text);
    let keys: Vec<&str> =
        whole.body["flags"].as_array().unwrap().iter().map(|f| f["key"].as_str().unwrap()).collect();
    assert_eq!(keys, KEYS);
    assert!(whole.body["metadata"]["version"].is_string());
    let stream = &whole.body["eventStreams"][0];
    assert_eq!((&stream["type"], &stream["inactivityDelaySec"]), (&json!("sse"), &json!(120)));
    assert!(stream["endpoint"]["requestUri"].as_str().unwrap().starts_with("/ofrep/v1/stream/"));
    refused(
        &ask(server, request(ALL, &secret), "{\"context\": {}}").await,
        400,
        "TARGETING_KEY_MISSING",
        None,
    );
    refused(&all(server, "tgf_guess").await, 401, "GENERAL", None);

    let tag = whole.headers["etag"].to_str().unwrap().to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let again = ask(server, request(ALL, &secret).header("if-none-match", &known), user()).await;
        assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""), "{known}");
        assert_eq!(again.headers["etag"].to_str().unwrap(), tag);
    }
    let other = json!({"context": {"targetingKey": "user-2", "country": "DE"}});
    let other = ask(server, request(ALL, &secret).header("if-none-match", &tag), other).await;
    assert_eq!(other.status, 200, "another user is another answer");
    assert_ne!(other.headers["etag"].to_str().unwrap(), tag);

    flagged.apply(&FLAGS.replace("alpha: {enabled: false}", "alpha: {enabled: true, percentage: 100}")).await;
    let changed = until("the change is served", async || {
        let again = ask(server, request(ALL, &secret).header("if-none-match", &tag), user()).await;
        (again.status == 200).then_some(again)
    })
    .await;
    assert_eq!(value(&changed, "alpha"), true);
}

#[tokio::test]
async fn a_key_reads_its_environment_its_namespace_and_nothing_after_it_was_withdrawn() {
    let flagged = Flagged::new(FLAGS, &[]).await;
    let elsewhere = Flagged::new("only: {enabled: true}", &[]).await;
    let server = &flagged.server;
    let (id, production) = flagged.key(Some("production")).await;
    let (_, staging) = flagged.key(Some("staging")).await;
    let (_, any) = flagged.key(None).await;
    assert_eq!(one(server, &production, "there").await.body["reason"], "DISABLED");
    assert_eq!(one(server, &staging, "there").await.body["value"], true);
    assert_eq!(one(server, &any, "there").await.body["value"], true);
    let tags: Vec<_> = [
        all(server, &production).await.headers["etag"].clone(),
        all(server, &staging).await.headers["etag"].clone(),
        all(server, &any).await.headers["etag"].clone(),
    ]
    .into();
    assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2]);
    refused(&one(server, &any, "only").await, 404, "FLAG_NOT_FOUND", Some("only"));
    refused(&one(&elsewhere.server, &any, "only").await, 401, "GENERAL", Some("only"));

    let (mut stream, at) = follow(server, &production, None).await;
    let gone = format!("/api/v1/flag-keys/{id}");
    let admin = server.as_role(Role::Administrator);
    assert_eq!(admin.ask(http::Method::DELETE, &gone, None, "").await.status, 204);
    refused(&one(server, &production, "zebra").await, 401, "GENERAL", Some("zebra"));
    assert!(stream.next().await.is_none(), "its stream ends");
    let again = Answer::read(server.send(Request::get(at).body(Body::empty()).unwrap()).await).await;
    refused(&again, 404, "GENERAL", None);
    assert_eq!(one(server, &any, "zebra").await.body["value"], true, "the others go on");
}

#[tokio::test]
async fn a_namespace_without_a_file_has_no_flags_and_an_unread_key_is_no_refusal() {
    let flagged = Flagged::new(FLAGS, &[]).await;
    let body = json!({"name": "early", "cluster": "demo", "namespace": "not-there-yet"});
    let issued = flagged.server.as_role(Role::Administrator).post("/api/v1/flag-keys", body).await;
    let secret = issued.body["secret"].as_str().unwrap();
    let whole = all(&flagged.server, secret).await;
    assert_eq!((whole.status.as_u16(), &whole.body["flags"]), (200, &json!([])), "{}", whole.text);
    refused(&one(&flagged.server, secret, "zebra").await, 404, "FLAG_NOT_FOUND", Some("zebra"));

    // Before the keys were ever read nobody can be told that theirs is wrong.
    let db = store::test_support::database().await;
    let young = Server::over(&db, Vec::new(), &[]).await;
    let answer = all(&young, secret).await;
    refused(&answer, 503, "GENERAL", None);
    assert_eq!(answer.headers["retry-after"], "2");
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_come_again() {
    let flagged = Flagged::new(FLAGS, &["--ofrep-rate", "1"]).await;
    let (server, (_, secret)) = (&flagged.server, flagged.key(None).await);
    let (_, other) = flagged.key(None).await;
    let many = until("it is too often", async || {
        let answer = one(server, &secret, "zebra").await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    refused(&many, 429, "GENERAL", Some("zebra"));
    assert_eq!(many.headers["retry-after"], "1");
    assert_eq!(one(server, &other, "zebra").await.status, 200, "another key is another matter");
    let guesses = until("guesses are too many", async || {
        let answer = one(server, "tgf_guess", "zebra").await;
        (answer.status != 401).then_some(answer)
    })
    .await;
    refused(&guesses, 429, "GENERAL", Some("zebra"));
    let streams = Request::get("/ofrep/v1/stream/guess").body(Body::empty()).unwrap();
    refused(&Answer::read(server.send(streams).await).await, 429, "GENERAL", None);
    let (_, third) = flagged.key(None).await;
    assert_eq!(one(server, &third, "zebra").await.status, 200, "a right key is let in from the same address");
}

fn preflight(path: &str) -> Request<Body> {
    let request = Request::options(path).header("origin", "https://shop.example.com");
    let request = request.header("access-control-request-method", "POST");
    let sent = "authorization,content-type,if-none-match,x-api-key";
    request.header("access-control-request-headers", sent).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_page_of_any_origin_may_ask_with_its_key_and_nothing_else() {
    let flagged = Flagged::new(FLAGS, &[]).await;
    let (server, (_, secret)) = (&flagged.server, flagged.key(None).await);
    let text = |headers: &HeaderMap, name: &str| {
        headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_ascii_lowercase()
    };
    for path in [ALL.to_owned(), format!("{ALL}/zebra")] {
        let answer: Response<Body> = server.send(preflight(&path)).await;
        assert_eq!(answer.status(), 200, "without a key");
        assert_eq!(text(answer.headers(), "access-control-allow-origin"), "*");
        let methods = text(answer.headers(), "access-control-allow-methods");
        assert!(methods.contains("post") && methods.contains("get"), "{methods}");
        let allowed = text(answer.headers(), "access-control-allow-headers");
        for name in ["authorization", "x-api-key", "content-type", "if-none-match"] {
            assert!(allowed.contains(name), "{allowed}");
        }
        assert!(!text(answer.headers(), "access-control-max-age").is_empty());
    }
    // As a browser sends it from elsewhere, with a cookie that has nothing to say here.
    let cookie = server.sign_in("manager@demo.tidegate.dev").await;
    let request = request(ALL, &secret).header("origin", "https://shop.example.com");
    let request = request.header("sec-fetch-site", "cross-site").header("cookie", cookie.clone());
    let answer = ask(server, request, user()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(text(&answer.headers, "access-control-allow-origin"), "*");
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    let exposed = text(&answer.headers, "access-control-expose-headers");
    assert!(exposed.contains("etag") && exposed.contains("retry-after"), "{exposed}");
    assert_eq!(answer.headers["cross-origin-resource-policy"], "cross-origin");
    let by_cookie = Request::post(ALL).header("cookie", cookie).header("origin", "https://shop.example.com");
    let refusal = ask(server, by_cookie, user()).await;
    refused(&refusal, 401, "GENERAL", None);
    assert_eq!(text(&refusal.headers, "access-control-allow-origin"), "*", "a page may read why");
    // Nothing else opens with it.
    let closed = server.send(preflight("/api/v1/flags")).await;
    assert!(!closed.headers().contains_key("access-control-allow-origin"));
    server.nobody().with_token(&secret).get("/api/v1/flags").await.problem(401);
}

/// A stream of a key's changes, and its address.
async fn follow(server: &Server, secret: &str, last: Option<&str>) -> (Stream, String) {
    let whole = all(server, secret).await;
    let at = whole.body["eventStreams"][0]["endpoint"]["requestUri"].as_str().unwrap().to_owned();
    let request = Request::get(&at).header("origin", "https://shop.example.com");
    let request = last.iter().fold(request, |request, last| request.header("last-event-id", *last));
    let response = server.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    (Stream::of(response), at)
}

#[tokio::test]
async fn a_stream_tells_a_change_by_kubectl_and_a_kill_at_once() {
    let flagged = Flagged::new(FLAGS, &[]).await;
    let (server, (_, secret)) = (&flagged.server, flagged.key(None).await);
    let before = all(server, &secret).await;
    let version = before.body["metadata"]["version"].as_str().unwrap().to_owned();
    let (mut stream, _) = follow(server, &secret, None).await;
    let begun = Instant::now();
    flagged.apply(&FLAGS.replace("alpha: {enabled: false}", "alpha: {enabled: true, percentage: 100}")).await;
    let told = stream.next().await.expect("a change is told");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "a change by kubectl is told after {took:?}");
    assert_eq!((told.name.as_str(), &told.data["type"]), ("message", &json!("refetchEvaluation")));
    assert_eq!(told.id.as_deref(), told.data["etag"].as_str(), "a stable id");
    assert!(Utc::now().timestamp() - told.data["lastModified"].as_i64().unwrap() < 60);
    let after = all(server, &secret).await;
    assert_eq!(after.body["metadata"]["version"], told.data["etag"]);
    assert_eq!(value(&after, "alpha"), true);

    let begun = Instant::now();
    let kill = format!("{}/kill", flagged.at("zebra"));
    let killed = server.as_role(Role::OnCall).post(&kill, json!({"reason": "it burns"})).await;
    assert_eq!(killed.status, 200, "{}", killed.text);
    assert_eq!(value(&all(server, &secret).await, "zebra"), false, "off when the press is answered");
    let told = stream.next().await.expect("a kill is told");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "a kill is told after {took:?}");
    assert_ne!(told.data["etag"], version.as_str());

    // Whoever was away meanwhile is told when it comes again, and whoever was not is left alone.
    // The kill counts before its file is written, and the written file is one more version.
    let now = until("what is told late is what is served", async || {
        let (mut late, _) = follow(server, &secret, Some(&version)).await;
        let told = late.next().await.unwrap().id.unwrap();
        let served = all(server, &secret).await.body["metadata"]["version"].as_str().unwrap().to_owned();
        (served == told).then_some(told)
    })
    .await;
    let (mut same, _) = follow(server, &secret, Some(&now)).await;
    server.state.ending.cancel();
    while let Some(told) = same.next().await {
        assert_ne!(told.id.as_ref(), Some(&now), "nobody is told what they know");
    }
}

#[tokio::test]
async fn whoever_was_told_of_a_change_elsewhere_does_not_get_the_old_flags() {
    let flagged = Flagged::new(FLAGS, &[]).await;
    let (server, (_, secret)) = (&flagged.server, flagged.key(None).await);
    let begun = Utc::now().timestamp();
    until("the next second", async || (Utc::now().timestamp() > begun).then_some(())).await;
    // Another replica has told of a change that is not known here yet.
    let at = format!("{ALL}?flagConfigEtag=newer&flagConfigLastModified={}", Utc::now().timestamp());
    let kill = format!("{}/kill", flagged.at("zebra"));
    let oncall = server.as_role(Role::OnCall);
    let (bulk, killed) =
        tokio::join!(ask(server, request(&at, &secret), user()), oncall.post(&kill, json!({"reason": "x"})));
    assert_eq!(killed.status, 200, "{}", killed.text);
    assert_eq!(value(&bulk, "zebra"), false);
    // Where nothing comes, what there is is answered.
    let begun = Instant::now();
    let at = format!("{ALL}?flagConfigEtag=newer&flagConfigLastModified={}", Utc::now().timestamp() + 60);
    assert_eq!(ask(server, request(&at, &secret), user()).await.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_is_asked_and_told_is_counted() {
    let flagged = Flagged::new(FLAGS, &[]).await;
    let (server, (_, secret)) = (&flagged.server, flagged.key(None).await);
    one(server, &secret, "zebra").await;
    one(server, &secret, "nothing").await;
    let (mut stream, _) = follow(server, &secret, None).await;
    flagged.apply("zebra: {enabled: false}").await;
    stream.next().await.expect("a change is told");
    let text = server.nobody().get("/metrics").await.text;
    for line in [
        "tidegate_ofrep_requests_total{asked=\"one\",status=\"200\"} 1",
        "tidegate_ofrep_requests_total{asked=\"one\",status=\"404\"} 1",
        "tidegate_ofrep_requests_total{asked=\"all\",status=\"200\"} 1",
        "tidegate_ofrep_requests_total{asked=\"stream\",status=\"200\"} 1",
        "tidegate_ofrep_changes_told_total 1",
        "tidegate_streams_open{kind=\"flags\"} 1",
        "tidegate_ofrep_request_duration_seconds_count{asked=\"one\"} 2",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("zebra") && !text.contains("/ofrep/v1/stream/"), "no key and no address");
    drop(stream);
    until("the stream is let go", async || {
        let text = server.nobody().get("/metrics").await.text;
        text.contains("tidegate_streams_open{kind=\"flags\"} 0").then_some(())
    })
    .await;
}
