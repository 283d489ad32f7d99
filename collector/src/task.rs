//! Commands that need the event store. They run the same way in the process that was called and in
//! a server that the command was handed to.
//!
//! In: a [`Task`], plain data. Out: what it prints on a [`Console`].
//!
//! Deliberately elsewhere: arguments (`cli`), the way to the server (`control`).

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tallymark_store::{Ends, PeopleCommand};
use tokio::runtime::Handle;

use crate::admin::keys::Ring;
use crate::admin::projects::{self, Created};
use crate::app::App;
use crate::backup::make::{BackupTask, backup};
use crate::backup::verify::{VerifyTask, verify};
use crate::bulk::demo::{DemoTask, fill};
use crate::bulk::export::{ConsoleOut, ExportTask, Wanted, export};
use crate::bulk::import::{self, ImportTask, Source, import_seen};
use crate::bulk::under_way::Outcome;
use crate::console::Console;
use crate::keys::{KeyKind, Scope, Scopes};
use crate::meta::access_keys::NewKey;
use crate::meta::audit::{COMMAND_LINE, Deed};
use crate::meta::organisations::MAIN;
use crate::meta::projects::{NewProject, Project};
use crate::privacy::{evidence, report};
use crate::query::export::{begin_export, note_export};
use crate::query::people::{self, Who};
use crate::query::questions::parse_question;
use crate::query::range::parse_range;
use crate::saved::desk::Desk;
use crate::saved::{Kind, Refused};

/// A command.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Files of events into a project.
    Import(ImportTask),
    /// Events of a project out.
    Export(ExportTask),
    /// One question.
    Query(QueryTask),
    /// A project with data made on the spot.
    Demo(DemoTask),
    /// A copy of everything, of one moment.
    Backup(BackupTask),
    /// A look at everything that is stored.
    Verify(VerifyTask),
    /// Two ids are one person.
    Alias(AliasTask),
    /// A person out of everything.
    Erase(EraseTask),
    /// Everything that is stored of a person.
    Person(PersonTask),
    /// What a project knows of people, and whether its preset holds.
    Evidence(EvidenceTask),
}

/// Two ids are one person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AliasTask {
    /// The project's slug.
    pub project: String,
    /// Whose person goes.
    pub from: Who,
    /// Whose person stays.
    pub to: Who,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// A person out of everything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EraseTask {
    /// The project's slug.
    pub project: String,
    /// An id of the person.
    pub who: Who,
    /// Write files again at once.
    pub now: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Everything that is stored of a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PersonTask {
    /// The project's slug.
    pub project: String,
    /// An id of the person.
    pub who: Who,
}

/// What a project knows of people.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EvidenceTask {
    /// The project's slug.
    pub project: String,
    /// Whether the sheet is printed as JSON.
    pub json: bool,
}

/// One question.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueryTask {
    /// The project's slug.
    pub project: String,
    /// The kind of question.
    pub kind: String,
    /// The question, JSON text.
    pub question: String,
}

impl Task {
    /// Run it on a thread that may block, inside the runtime of `handle`.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub fn run(&self, app: &App, handle: &Handle, console: &mut dyn Console) -> anyhow::Result<()> {
        match self {
            Self::Import(task) => {
                let project = find(app, handle, &task.project)?;
                let sources = task.paths.iter().map(|path| Source::open(path));
                let sources = sources.collect::<anyhow::Result<Vec<_>>>()?;
                let by = (&*project, COMMAND_LINE);
                let summary =
                    import_seen(app, handle, by, &task.how, sources, Some(&mut *console))?;
                import::print(&summary, task.json, console)
            }
            Self::Export(task) => {
                let project = find(app, handle, &task.project)?;
                let range = parse_range(task.from.as_deref(), task.to.as_deref(), &project.tz)?;
                let out = &mut ConsoleOut(console);
                let wanted = Wanted::all(range);
                let work = begin_export(app, &project, COMMAND_LINE, task.form);
                let done = export(app, &project, &wanted, task.form, work.scan(), out);
                work.end(&done, |events| Outcome::Exported(*events));
                let count = done?;
                let noted = note_export(app, COMMAND_LINE, &project, &wanted, Some(&count));
                handle.block_on(noted)?;
                Ok(console.note(&format!("{count} events"))?)
            }
            Self::Query(task) => {
                let project = find(app, handle, &task.project)?;
                let question = parse_question(task.question.as_bytes())?;
                let answer = handle.block_on(app.ask(&project, &task.kind, question))?;
                let mut line = serde_json::to_string(&answer)?;
                line.push('\n');
                Ok(console.out(line.as_bytes())?)
            }
            Self::Demo(task) => demo(app, handle, task, console),
            Self::Backup(task) => backup(app, handle, task, console),
            Self::Verify(task) => verify(app, handle, task, console),
            Self::Alias(task) => {
                let project = find(app, handle, &task.project)?;
                people::needs_lasting_ids(app, &project)?;
                let source = task.from.id(app, &project, "--from")?;
                let target = task.to.id(app, &project, "--to")?;
                let (project, at_ms) = (project.id, app.clock.now_ms());
                let ends = Ends { source, target };
                let command = PeopleCommand::Alias { project, ends, at_ms };
                let done =
                    people::merge(app, COMMAND_LINE, project, "alias", command, task.dry_run);
                let done = handle.block_on(done)?;
                Ok(console.out(format!("{done}\n").as_bytes())?)
            }
            Self::Erase(task) => {
                let project = find(app, handle, &task.project)?;
                let id = task.who.id(app, &project, "--user")?;
                let receipt = people::erase_and_note(
                    app,
                    COMMAND_LINE,
                    project.id,
                    id,
                    task.now,
                    task.dry_run,
                );
                let receipt = handle.block_on(receipt)?;
                Ok(console.out(format!("{receipt}\n").as_bytes())?)
            }
            Self::Person(task) => {
                let project = find(app, handle, &task.project)?;
                let id = task.who.id(app, &project, "--user")?;
                let held = handle.block_on(report::held(app, &project, id))?;
                let out = &mut ConsoleOut(console);
                handle.block_on(report::note(app, COMMAND_LINE, &project, &held))?;
                report::write(app, &project, &held, out)
            }
            Self::Evidence(task) => {
                let project = find(app, handle, &task.project)?;
                let sheet = handle.block_on(evidence::sheet(app, &project))?;
                let text =
                    if task.json { format!("{}\n", json!(sheet)) } else { sheet.to_string() };
                Ok(console.out(text.as_bytes())?)
            }
        }
    }
}

fn find(app: &App, handle: &Handle, slug: &str) -> anyhow::Result<Arc<Project>> {
    // What a command before this one changed holds, also in a server that looks only twice a second.
    handle.block_on(app.meta.refresh())?;
    let found = handle.block_on(app.meta.find_project(slug))?;
    found.with_context(|| {
        format!("there is no project {slug:?}; `tallymark project list` shows those there are")
    })
}

fn demo(
    app: &App,
    handle: &Handle,
    task: &DemoTask,
    console: &mut dyn Console,
) -> anyhow::Result<()> {
    let created = handle.block_on(demo_project(app, &task.slug))?;
    let filled = fill(app, &created.project, task, console)?;
    handle.block_on(note_letter(app, &created.project, &filled))?;
    if task.json {
        let mut all = created.json();
        if let (Some(all), Some(filled)) = (all.as_object_mut(), filled.as_object()) {
            all.extend(filled.clone());
        }
        return Ok(console.out(format!("{all}\n").as_bytes())?);
    }
    let text = format!(
        "{} events of {} to {} in the project {}\nwrite key   {}\nsalt        {}\nsecret key  {}\n",
        filled["events"],
        filled["from"].as_str().unwrap_or_default(),
        filled["to"].as_str().unwrap_or_default(),
        created.project.slug,
        created.write_key.reveal(),
        created.project.salt,
        created.secret_key.reveal(),
    );
    Ok(console.out(text.as_bytes())?)
}

/// Note the letter of the demo, as a team would.
async fn note_letter(app: &App, project: &Project, filled: &Value) -> anyhow::Result<()> {
    let desk =
        Desk { meta: &app.meta, project, kind: Kind::Annotation, now_ms: app.clock.now_ms() };
    let mut note = Map::new();
    note.insert("text".into(), "The letter of the week went out".into());
    note.insert("at".into(), filled["letter"].clone());
    match desk.save("letter", None, note, (COMMAND_LINE, "demo")).await {
        // The demo was filled before.
        Ok(_) | Err(Refused::Taken(..)) => Ok(()),
        Err(refused) => Err(refused.into()),
    }
}

/// The demo's project with keys that can be shown: new ones, when it was there already.
async fn demo_project(app: &App, slug: &str) -> anyhow::Result<Created> {
    let deed =
        Deed { actor: COMMAND_LINE, action: "create", note: "demo", at_ms: app.clock.now_ms() };
    let Some(project) = app.meta.find_project(slug).await? else {
        let (name, slug, tz) = ("Demo shop".into(), slug.to_owned(), "UTC".into());
        let new = NewProject { organisation: MAIN, name, slug, tz };
        return Ok(projects::create(&app.meta, &app.pepper, &new, deed).await?);
    };
    let project = Project::clone(&project);
    let ring = Ring { meta: &app.meta, pepper: &app.pepper, project: &project };
    let new = |scopes| NewKey { name: "demo", scopes, expires_ms: None };
    let may_send: Scopes = [Scope::Ingest].into_iter().collect();
    let write_key = ring.make(KeyKind::Public, new(may_send), deed).await?.key;
    let secret_key = ring.make(KeyKind::Secret, new(Scopes::all()), deed).await?.key;
    Ok(Created { project, write_key, secret_key })
}
