//! What a developer pastes to let people meet an experiment: in a page, in React, on a server.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::super::words::{filters, t};
use super::super::{Place, Shell, endpoint, show as show_page};
use super::desk;
use crate::access::{Caller, Tenant};
use crate::app::App;
use crate::dashboard::form::Trouble;
use crate::experiments::definition::Definition;

#[derive(Template)]
#[template(path = "experiments/code.html")]
struct Page {
    shell: Shell,
    slug: String,
    key: String,
    blocks: Vec<Block>,
}

/// Something to paste.
struct Block {
    id: &'static str,
    title: &'static str,
    about: &'static str,
    code: String,
}

/// `GET /p/{slug}/experiments/{key}/code`
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path((_slug, key)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let stored = desk(&app, &project, "").load(&key).await?;
    let endpoint = endpoint(&app, &headers);
    let blocks = match &stored.definition {
        Definition::Experiment(experiment) => {
            let variants: Vec<&str> =
                experiment.variants.iter().map(|variant| variant.key.as_str()).collect();
            let goal = experiment.primary["event"].as_str().unwrap_or("purchase");
            of_experiment(&key, &variants, goal, &project.salt, &endpoint)
        }
        _ => of_flag(&key, &project.salt, &endpoint),
    };
    let shell = Shell::within(&app, &caller, &project, Place::Experiments);
    let page = Page { shell, slug: project.slug.clone(), key, blocks };
    Ok(show_page(StatusCode::OK, &page))
}

/// A text in code: keys are plain by rule, names of events need not be.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn start(salt: &str, endpoint: &str) -> String {
    let (salt, endpoint) = (quoted(salt), quoted(endpoint));
    format!(
        "import {{ init }} from \"@tallymark/web\";\n\
         import {{ exposeWhenSeen, start, value, variant }} from \"@tallymark/web/experiments\";\n\n\
         const settings = {{ key: \"tm_pk_…\", salt: {salt}, endpoint: {endpoint}, mode: \"full\" }};\n\
         init(settings);\n\
         await start(settings);"
    )
}

fn of_experiment(
    key: &str,
    variants: &[&str],
    goal: &str,
    salt: &str,
    endpoint: &str,
) -> Vec<Block> {
    let (key, goal) = (quoted(key), quoted(goal));
    let others = variants.iter().skip(1);
    let cases =
        others.map(|variant| format!("  case {}:\n    /* … */\n    break;\n", quoted(variant)));
    let cases: String = cases.collect();
    let control = variants.first().copied().unwrap_or("control");
    let page = format!(
        "switch (variant({key})) {{\n{cases}  default: // {control}, and whoever takes no part\n}}\n\
         // Who saw it counts, from when half of it is on screen:\n\
         exposeWhenSeen(element, {key});"
    );
    let react = format!(
        "import {{ useExposure, useVariant }} from \"@tallymark/web/react\";\n\n\
         const chosen = useVariant({key}) ?? {};\n\
         const seen = useExposure({key}); // <div ref={{seen}}>",
        quoted(control)
    );
    let server = format!(
        "import {{ createClient }} from \"@tallymark/server\";\n\n\
         const tally = createClient({{ key: process.env.TALLYMARK_KEY, writeKey: \"tm_pk_…\", salt: {}, endpoint: {} }});\n\
         await tally.ready();\n\
         const chosen = tally.variant({key}, {{ userId }}) ?? {};\n\
         tally.exposure({key}, {{ userId }}); // when it was really shown",
        quoted(salt),
        quoted(endpoint),
        quoted(control)
    );
    let track = format!("import {{ track }} from \"@tallymark/web\";\n\ntrack({goal});");
    let block = |id, title, about, code| Block { id, title, about, code };
    vec![
        block(
            "start",
            t("Once, where your app starts"),
            t("Variants need an id that lasts: mode “full”, or the visitor's consent."),
            start(salt, endpoint),
        ),
        block(
            "page",
            t("Where the variants differ"),
            t("The same for a visitor, always. Nothing is asked of the network here."),
            page,
        ),
        block("react", t("In React"), t("It changes by itself when the answer does."), react),
        block(
            "goal",
            t("What decides"),
            t("An event like any other: it counts from the exposure on, wherever it is sent from."),
            track,
        ),
        block(
            "server",
            t("On a server"),
            t("With the secret key for events, and the write key for variants."),
            server,
        ),
        block(
            "look",
            t("To look at a variant yourself"),
            t("Records nothing."),
            format!("?{}={}", key.trim_matches('"'), variants.last().copied().unwrap_or("")),
        ),
    ]
}

fn of_flag(key: &str, salt: &str, endpoint: &str) -> Vec<Block> {
    let code = format!("const on = value({}, false);", quoted(key));
    vec![
        Block {
            id: "start",
            title: t("Once, where your app starts"),
            about: t("Variants need an id that lasts: mode “full”, or the visitor's consent."),
            code: start(salt, endpoint),
        },
        Block {
            id: "page",
            title: t("Where it matters"),
            about: t("The second value is what counts until the answer is known."),
            code,
        },
    ]
}
