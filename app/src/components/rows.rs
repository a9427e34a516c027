//! Releases as rows and as a table.

use super::common::{ago, at, percent};
use super::gate::mini;
use super::tone::st_release;
use crate::when;
use chrono::{DateTime, Utc};
use leptos::prelude::*;
use model::view::ReleaseRow;

/// `checkout 1.42.0`
pub(crate) fn name(row: &ReleaseRow) -> String {
    format!("{} {}", row.service, row.version)
}

/// Releases under way: what, the gate in small, how far.
pub(crate) fn moving(base: DateTime<Utc>, rows: &[ReleaseRow]) -> AnyView {
    let list = rows
        .iter()
        .map(|r| {
            view! {
                <li>
                    <div>
                        <div class="t"><a href=format!("/releases/{}", r.id)>{name(r)}</a>{st_release(r)}</div>
                        <p>{r.words.clone()}" "<span class="dim">{r.environment.clone()}", #"{r.id.0}</span></p>
                    </div>
                    {mini(r.weight, r.ceiling, &r.ticks)}
                    <div class="sm nowrap">
                        <b>{percent(r.weight)}</b>" "<span class="ink2">{format!("of {}", percent(r.ceiling))}</span>
                        <br/>
                        <span class="ink2">"began "{ago(base, r.created)}</span>
                    </div>
                </li>
            }
        })
        .collect_view();
    view! { <ul class="rows gated" role="list">{list}</ul> }.into_any()
}

/// Releases to compare, newest first.
pub(crate) fn table(caption: &'static str, base: DateTime<Utc>, rows: &[ReleaseRow]) -> AnyView {
    let body = rows
        .iter()
        .map(|r| {
            let gate = if r.state.ended() {
                view! { <span class="dim">{percent(r.weight)}</span> }.into_any()
            } else {
                mini(r.weight, r.ceiling, &r.ticks)
            };
            let began = at(base, r.created);
            let took = when::span(r.ended.unwrap_or(base) - r.created);
            view! {
                <tr>
                    <th scope="row">
                        <a href=format!("/releases/{}", r.id)>{name(r)}</a>" "<span class="rev dim">"#"{r.id.0}</span>
                    </th>
                    <td>{st_release(r)}</td>
                    <td class="xs-no ink2">{r.environment.clone()}</td>
                    <td>{gate}</td>
                    <td class="ink2 xs-all">{r.words.clone()}</td>
                    <td class="xs-no ink2">{r.started_by.clone()}</td>
                    <td class="r xs-no ink2">{began}</td>
                    <td class="r xs-no">{took}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <table class="table flip">
            <caption class="vh">{caption}</caption>
            <thead>
                <tr>
                    <th scope="col">"Release"</th><th scope="col">"State"</th>
                    <th scope="col" class="xs-no">"Where"</th><th scope="col">"Gate"</th>
                    <th scope="col">"What"</th><th scope="col" class="xs-no">"Started by"</th>
                    <th scope="col" class="r xs-no">"Began"</th><th scope="col" class="r xs-no">"Took"</th>
                </tr>
            </thead>
            <tbody>{body}</tbody>
        </table>
    }
    .into_any()
}
