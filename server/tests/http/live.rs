//! Streams: who may open one, what they say, and that they end.

use crate::common::{DEADLINE, Server, World};
use axum::body::Body;
use futures::StreamExt as _;
use http::{Request, Response};
use http_body_util::BodyStream;
use model::Role;
use model::audit::NewEvent;
use serde_json::Value;

/// Reads server-sent events.
pub(crate) struct Stream {
    body: BodyStream<Body>,
    rest: String,
}

#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: Value,
    pub(crate) id: Option<String>,
}

impl Stream {
    pub(crate) fn of(response: Response<Body>) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: BodyStream::new(response.into_body()), rest: String::new() }
    }

    /// The next event, `None` at the stream's end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        let read = async {
            loop {
                if let Some((block, rest)) = self.rest.split_once("\n\n") {
                    let (block, rest) = (block.to_owned(), rest.to_owned());
                    self.rest = rest;
                    if let Some(event) = parse(&block) {
                        return Some(event);
                    }
                    continue;
                }
                let frame = self.body.next().await?.ok()?;
                self.rest.push_str(&String::from_utf8_lossy(&frame.into_data().ok()?));
            }
        };
        tokio::time::timeout(DEADLINE, read).await.expect("the stream says something or ends")
    }

    async fn named(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event.name == name {
                return event;
            }
        }
    }
}

fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| block.lines().find_map(|l| l.strip_prefix(name)).map(|v| v.trim().to_owned());
    Some(Event {
        name: field("event:")?,
        data: serde_json::from_str(&field("data:")?).unwrap(),
        id: field("id:"),
    })
}

async fn open(server: &Server, path: &str, last: Option<&str>) -> Stream {
    let mut request =
        Request::get(path).header("authorization", format!("Bearer {}", server.tokens["viewer"]));
    if let Some(id) = last {
        request = request.header("last-event-id", id);
    }
    Stream::of(server.send(request.body(Body::empty()).unwrap()).await)
}

async fn happen(server: &Server, release: model::ReleaseId, action: &str) {
    let mut tx = server.state.store.begin().await.unwrap();
    let (record, _) = tx.lock_release(release).await.unwrap();
    let record = model::release::Release { note: Some(action.to_owned()), ..record };
    tx.put_release(&record, None).await.unwrap();
    let mut event = NewEvent::new(chrono::Utc::now(), &model::Actor::system("test"), action, "it happened");
    event.release = Some(release);
    tx.commit(event).await.unwrap();
}

#[tokio::test]
async fn a_releases_events_are_told_once_each_across_a_broken_line() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    let (_, release) = server.paper_release("web").await;
    happen(&server, release, "release.test.one").await;
    let path = format!("/api/v1/releases/{release}/events");
    let mut first = open(&server, &path, None).await;
    assert_eq!(first.next().await.unwrap().name, "release.started");
    let one = first.next().await.unwrap();
    assert_eq!(one.name, "release.test.one");
    assert_eq!(one.data["seq"].to_string(), one.id.clone().unwrap());
    drop(first);

    happen(&server, release, "release.test.two").await;
    let _running = server.run();
    let mut second = open(&server, &path, one.id.as_deref()).await;
    assert_eq!(second.next().await.unwrap().name, "release.test.two", "what was missed comes first");
    happen(&server, release, "release.test.three").await;
    assert_eq!(second.next().await.unwrap().name, "release.test.three", "then what comes");
    server.state.ending.cancel();
    assert!(second.next().await.is_none(), "and it ends with the process");
}

#[tokio::test]
async fn a_page_hears_its_release_and_the_frame_and_whether_the_line_lives() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    let (_, release) = server.paper_release("web").await;
    let _running = server.run();
    let mut stream = open(&server, &format!("/live?topics=release:{release},shell,audit"), None).await;
    let first = stream.named("release").await;
    assert_eq!(first.data["id"], release.0);
    assert!(first.data["timeline"].as_array().is_some_and(|t| !t.is_empty()));
    assert_eq!(stream.named("shell").await.data["roles"], "viewer");
    happen(&server, release, "release.test.moved").await;
    let delta = stream.named("release").await;
    let timeline = delta.data["timeline"].as_array().unwrap();
    assert_eq!(timeline.len(), 1, "only what is new: {timeline:?}");
    assert_eq!(timeline[0]["action"], "release.test.moved");
    assert_eq!(stream.named("changed").await.data["topic"], "audit");
    assert_eq!(stream.named("age").await.data["database"], true);
    server.state.ending.cancel();
    while stream.next().await.is_some() {}
}

#[tokio::test]
async fn a_list_hears_of_the_rows_that_changed() {
    let world = World::new().await;
    let server = world.server().await;
    let _running = server.run();
    let mut stream = open(&server, "/live?topics=workloads", None).await;
    let sandbox = sandbox::Sandbox::shared().await.unwrap();
    let scaled = sandbox::rollout_manifest(
        &world.namespace,
        "web",
        2,
        "registry.example.com/shop/web:1.0.0",
        sandbox::Strategy::Canary { nginx: true },
    );
    sandbox.apply_yaml(&scaled).await.unwrap();
    let is_mine = |r: &&Value| r["key"]["namespace"] == world.namespace.as_str() && r["replicas"] == 2;
    let heard = async {
        loop {
            let event = stream.next().await.expect("the stream goes on");
            let rows = match event.name.as_str() {
                "workloads" => event.data["rows"].clone(),
                // Too much changed at once to be told row by row: whoever listens reads the list again.
                "changed" => {
                    let list = server.as_role(Role::Viewer).get("/api/v1/workloads").await;
                    list.body["workloads"].clone()
                }
                _ => continue,
            };
            if rows.as_array().is_some_and(|rows| rows.iter().any(|r| is_mine(&r))) {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, heard).await.expect("the row that changed is told");
}

#[tokio::test]
async fn a_stream_is_for_those_who_may_see() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    server.nobody().get("/live?topics=workloads").await.problem(401);
    server.nobody().get("/live?topics=status,audit").await.problem(401);
    assert_eq!(server.nobody().get("/live?topics=status").await.status, 200, "the public page's own");
    let wrong = server.as_role(Role::Viewer).get("/live?topics=everything").await;
    wrong.problem(422);
    assert_eq!(wrong.fields(), ["topics"]);
    server.as_role(Role::Viewer).get("/live").await.problem(422);
    server.nobody().get("/api/v1/releases/1/events").await.problem(401);
    server.as_role(Role::Viewer).get("/api/v1/releases/999/events").await.problem(404);
}

#[tokio::test]
async fn streams_are_counted_and_let_go() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    let stream = open(&server, "/live?topics=status", None).await;
    let count = async || server.nobody().get("/metrics").await.text;
    assert!(count().await.contains("tidegate_streams_open{kind=\"live\"} 1"));
    drop(stream);
    crate::common::until("the stream is let go", async || {
        count().await.contains("tidegate_streams_open{kind=\"live\"} 0").then_some(())
    })
    .await;
}
