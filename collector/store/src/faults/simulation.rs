//! A store's whole life against a plain list: events, resends, links, aliases, undoing them, erasures,
//! questions, flushes, merges, kills and losses of power, in any order. After each step, the store
//! answers as the list does.

use std::collections::{BTreeMap, BTreeSet};

use tallymark_analysis::answer::{Answer, Facts};
use tallymark_analysis::events::{Actors, Dictionaries, EventSet, Run, ScanPlan};
use tallymark_analysis::kernel::{Analysis, ByRun, Kernel, Key, Partial, RunKernel};

use serde_json::json;
use tallymark_analysis::presence::Presence;
use tallymark_analysis::{Context, compile};

use super::random::{Random, each_seed};
use super::source::{Source, any_id};
use super::world::World;
use crate::people::{Ends, PeopleCommand};
use crate::row::Row;

#[test]
fn any_life_of_a_store_answers_like_a_plain_list() {
    each_seed("simulation", 15, |seed| {
        let mut random = Random::new(seed);
        let source = Source::of_users();
        let mut world = World::new();
        for _ in 0..random.within(5..30) {
            step(&mut world, &mut random, &source);
            if random.percent(60) {
                ask(&world, &mut random);
            }
            if random.percent(20) {
                ask_days(&world, &mut random);
            }
        }
        world.check();
        ask(&world, &mut random);
        ask_days(&world, &mut random);
        assert_eq!(world.store().verify().problems, []);
        world.ledger().sent.len() as u64
    });
}

fn step(world: &mut World, random: &mut Random, source: &Source) {
    match random.below(26) {
        0..=8 => send(world, source.rows(random, 20)),
        9..=11 => {
            let mut rows: Vec<Row> = world.ledger().sent.values().cloned().collect();
            random.shuffle(&mut rows);
            rows.truncate(random.below(20) as usize);
            // A resend may come with another time and another person: only the id counts. Ids of erased
            // events are not known any more.
            let people = world.ledger().people.clone();
            for row in &mut rows {
                if random.percent(30) && !people.drops(row) {
                    row.ts_ms += 86_400_000;
                    row.person += 1;
                }
            }
            send(world, rows);
        }
        12..=14 => world.flush().expect("nothing fails"),
        15 | 16 => world.merge(random.percent(50)).expect("nothing fails"),
        20..=24 => world.people(command(world, random)),
        25 => world.erase_files(),
        17 => world.append_at_points(Random::new(random.next()), source.clone()),
        18 => {
            world.kill();
            world.start().expect("a killed store starts");
        }
        _ => {
            world.cut_power(random);
            world.start().expect("a store starts after a loss of power");
        }
    }
}

/// A change of who is who, or one that makes no sense.
fn command(world: &World, random: &mut Random) -> PeopleCommand {
    let (project, at_ms) = (random.within(1..3) as u32, 0);
    match random.below(12) {
        0..=4 => {
            let ends = Ends { source: any_id(random), target: any_id(random) };
            PeopleCommand::Alias { project, ends, at_ms }
        }
        5..=9 => {
            let link = random.below(world.ledger().people.links() + 2);
            PeopleCommand::Undo { project, link, at_ms }
        }
        _ => PeopleCommand::Erase { project, id: any_id(random), at_ms },
    }
}

/// Send, and see that what is called a duplicate was stored before.
fn send(world: &mut World, rows: Vec<Row>) {
    let mut known: BTreeSet<_> = world.ledger().acknowledged.clone();
    let people = world.ledger().people.clone();
    let is_known = |row: &Row| !people.drops(row) && !known.insert((row.project, row.event_id));
    let want: Vec<bool> = rows.iter().map(is_known).collect();
    let appended = world.append(rows).expect("nothing fails");
    assert_eq!(appended.duplicate, want);
}

/// One question, as the store answers it and as the list does.
fn ask(world: &World, random: &mut Random) {
    let names = ["view", "add", "buy"];
    let from_ms = *random.pick(&[i64::MIN, 1_700_000_000_002, 1_700_604_800_001]);
    let to_ms = *random.pick(&[i64::MAX, 1_700_604_800_003]);
    let events = match random.below(3) {
        0 => EventSet::All,
        1 => EventSet::Only(vec![(*random.pick(&names)).to_owned()]),
        _ => EventSet::Except(vec![(*random.pick(&names)).to_owned()]),
    };
    let texts = vec!["path".to_owned(), "plan".to_owned()];
    let numbers = vec!["seats".to_owned()];
    let question = Count(ScanPlan {
        from_ms,
        to_ms,
        events,
        needs: Vec::new(),
        only: None,
        texts,
        numbers,
        actors: Actors::Always,
        sessions: false,
    });
    for project in [1, 2] {
        let asked = world.store().ask(project, &question).expect("nothing is damaged");
        let rows = world.ledger().expected();
        assert_eq!(asked.partial, question.of_list(project, &rows));
        let of_project = rows.values().filter(|row| row.project == project);
        let persons: Vec<u64> = of_project.map(|row| row.person).collect();
        if persons.is_empty() {
            continue;
        }
        // Whoever is asked for alone has the same rows, whoever else is shown.
        let person = *random.pick(&persons);
        let alone = Count(ScanPlan { only: Some(person), ..question.0.clone() });
        let alone = world.store().ask(project, &alone).expect("nothing is damaged").partial;
        let key = [Key::Text(person.to_string().into())];
        assert_eq!(alone.rows.get(&key[..]), asked.partial.rows.get(&key[..]));
    }
}

/// What rows say of active people, the rollup of days says too.
fn ask_days(world: &World, random: &mut Random) {
    let kind = *random.pick(&["active", "lifecycle", "trend"]);
    let event = *random.pick(&["view", "buy"]);
    let mut question = json!({ "from": "2023-11-12", "to": "2023-11-30" });
    if kind == "trend" {
        question["series"] =
            json!([{ "event": event, "measure": "persons" }, { "measure": "persons" }]);
        let (field, value) =
            *random.pick(&[("bucket", "week"), ("bucket", "month"), ("compare", "previous")]);
        question[field] = value.into();
    } else {
        question["event"] = event.into();
    }
    let context = Context::utc(1_710_000_000_000);
    let analysis = compile(kind, question, &context).expect("a question of ours").analysis;
    for project in [1, 2] {
        let ask = |reads_rows, reads_times| {
            let form = Form { analysis: &*analysis, reads_rows, reads_times };
            world.store().ask(project, &form).expect("nothing is damaged").partial
        };
        let by_rows = ask(true, true);
        assert_eq!(ask(false, true), by_rows, "{kind} of project {project}, by days");
        assert_eq!(ask(true, false), by_rows, "{kind} of project {project}, without times");
    }
}

/// An analysis that may hide that presence can answer it, or that it can do without times.
struct Form<'a> {
    analysis: &'a dyn Analysis,
    reads_rows: bool,
    reads_times: bool,
}

impl Analysis for Form<'_> {
    fn scan(&self) -> &ScanPlan {
        self.analysis.scan()
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        self.analysis.kernel()
    }

    fn presence(&self) -> Option<&dyn Presence> {
        if self.reads_rows { None } else { self.analysis.presence() }
    }

    fn is_timeless(&self, first_ms: i64, last_ms: i64) -> bool {
        !self.reads_times && self.analysis.is_timeless(first_ms, last_ms)
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        self.analysis.answer(partial, facts)
    }
}

/// Per event, path and plan: rows and the sum of seats; and persons who did anything, with their rows.
struct Count(ScanPlan);

impl Count {
    fn of_list(&self, project: u32, sent: &BTreeMap<(u32, u128), Row>) -> Partial {
        let plan = &self.0;
        let mut partial = Partial::default();
        let mut persons = BTreeSet::new();
        for row in sent.values() {
            let is_in_time = plan.from_ms <= row.ts_ms && row.ts_ms < plan.to_ms;
            if row.project != project || !is_in_time || !plan.events.contains(&row.event) {
                continue;
            }
            persons.insert(row.person);
            let props: BTreeMap<String, serde_json::Value> =
                serde_json::from_str(&row.props).expect("properties are an object");
            let plan = props.get("plan").map(|plan| match plan {
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            let seats = props.get("seats").and_then(|seats| seats.as_f64());
            let path = row.dims[0].as_deref();
            add(&mut partial, &row.event, path, plan.as_deref(), seats.unwrap_or(f64::NAN));
            partial.add(vec![Key::Text(row.person.to_string().into())], &[1.0, 0.0]);
        }
        add_persons(&mut partial, persons.len() as f64);
        partial
    }
}

fn add(partial: &mut Partial, event: &str, path: Option<&str>, plan: Option<&str>, seats: f64) {
    let text = |text: &str| Key::Text(text.into());
    let key = vec![text(event), text(path.unwrap_or("-")), text(plan.unwrap_or("-"))];
    partial.add(key, &[1.0, if seats.is_nan() { 0.0 } else { seats }]);
}

fn add_persons(partial: &mut Partial, count: f64) {
    if count > 0.0 {
        partial.add(vec![Key::Text("persons".into())], &[count, 0.0]);
    }
}

impl Analysis for Count {
    fn scan(&self) -> &ScanPlan {
        &self.0
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        Box::new(ByRun::new(&self.0, Counting::default()))
    }

    fn answer(&self, _: &Partial, _: &Facts) -> Answer {
        unreachable!("the store never reads answers")
    }
}

#[derive(Default)]
struct Counting {
    partial: Partial,
    persons: u64,
}

impl RunKernel for Counting {
    fn person(&mut self, run: &Run<'_>, dictionaries: &Dictionaries) {
        self.persons += 1;
        let person = Key::Text(run.person.to_string().into());
        self.partial.add(vec![person], &[run.len() as f64, 0.0]);
        for at in 0..run.len() {
            let event = dictionaries.events.text(run.event[at]).unwrap_or("-");
            let text = |i: usize| dictionaries.texts[i].text(run.texts[i][at]);
            add(&mut self.partial, event, text(0), text(1), run.numbers[0][at]);
        }
    }

    fn finish(mut self: Box<Self>, _: &Dictionaries) -> Partial {
        add_persons(&mut self.partial, self.persons as f64);
        self.partial
    }
}
