//! A Postgres that tests can stop, kill and freeze.

#![allow(clippy::unwrap_used, reason = "a test stops at what it cannot use")]

use std::{fs, path::PathBuf, time::Duration};

use sandbox::{alive, postgres::Postgres};
use sqlx::{Connection as _, PgConnection};
use tokio::time;

struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn count(url: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar("select count(*) from kept").fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn postgres_returns_on_its_port_with_its_data() {
    let dir = Dir(std::env::temp_dir().join(format!("tidegate-test-postgres-{}", std::process::id())));
    let postgres = Postgres::start(&dir.0).await.unwrap();
    let url = postgres.create_database("shop").await.unwrap();
    assert_eq!(postgres.create_database("shop").await.unwrap(), url, "making it again is no error");
    assert!(postgres.create_database("Shop; drop table x").await.is_err());
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("create table kept (id int)").execute(&mut connection).await.unwrap();
    sqlx::query("insert into kept values (1)").execute(&mut connection).await.unwrap();

    // Frozen: the open connection hangs, and goes on when thawed.
    postgres.freeze();
    let query = sqlx::query("insert into kept values (2)").execute(&mut connection);
    let mut query = std::pin::pin!(query);
    assert!(time::timeout(Duration::from_millis(500), &mut query).await.is_err());
    postgres.thaw();
    time::timeout(Duration::from_secs(10), query).await.unwrap().unwrap();

    let pid = postgres.pid().unwrap();
    postgres.stop();
    assert!(!alive(pid));
    assert_eq!(postgres.pid(), None);
    assert!(PgConnection::connect(&url).await.is_err());
    postgres.start_again().await.unwrap();
    assert_eq!(count(&url).await, 2);

    postgres.kill();
    assert!(PgConnection::connect(&url).await.is_err());
    postgres.start_again().await.unwrap();
    assert_eq!(count(&url).await, 2, "what was committed survives a kill");

    // A second start in the same directory, as after a restart of the whole program.
    drop(postgres);
    let postgres = Postgres::start(&dir.0).await.unwrap();
    assert_eq!(postgres.url_of("shop"), url);
    assert_eq!(count(&url).await, 2);
}

#[tokio::test]
async fn shared_databases_are_apart() {
    let (one, two) = (
        Postgres::shared_database("apart").await.unwrap(),
        Postgres::shared_database("apart").await.unwrap(),
    );
    assert_ne!(one, two);
    let mut connection = PgConnection::connect(&one).await.unwrap();
    sqlx::query("create table kept (id int)").execute(&mut connection).await.unwrap();
    let mut connection = PgConnection::connect(&two).await.unwrap();
    sqlx::query("create table kept (id int)").execute(&mut connection).await.unwrap();
}
