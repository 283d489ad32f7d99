//! People who sign in, are joined and are erased while the collector is disturbed, and what must be in
//! force of it afterwards.
//!
//! One thread says one thing at a time, and says it again until it has an answer, as a customer's server
//! does. So when the collector is asked after a disturbance, everything that was said is acknowledged,
//! and all but the last thing was before the disturbance: then there are exactly as many persons as a
//! plain list says.

use std::net::SocketAddr;
use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tallymark_protocol::hashing::{Namespace, h1, to_hex};
use tallymark_tests::event::batch;
use tallymark_tests::http::Client;
use tallymark_tests::phase::{Now, Phase};
use tallymark_tests::{Event, Reply, TestCollector, TestProject};

use super::{Visitor, active, reached};

/// Between two things said: enough for a disturbance to meet each of them now and then.
const PAUSE: Duration = Duration::from_millis(10);
const AGAIN_AFTER: Duration = Duration::from_millis(10);

/// What they do, of a hundred things; the others arrive and sign in.
const JOINED: u32 = 20;
const ERASED: u32 = 6;

/// A crowd and its project.
pub struct Crowd {
    project: TestProject,
    client: Client,
    address: RwLock<SocketAddr>,
    phase: Phase,
    ledger: Mutex<Ledger>,
}

/// What was acknowledged.
#[derive(Default)]
struct Ledger {
    /// Members who are one person.
    persons: Vec<Vec<Member>>,
    erased: Vec<Vec<Member>>,
    said: usize,
}

struct Member {
    visitor: Visitor,
    /// The user id as the customer knows it.
    raw_user: String,
}

impl Member {
    fn new(project: &TestProject, random: &mut StdRng) -> Member {
        let mut visitor = Visitor::new(random);
        let raw_user = format!("user-{}", &visitor.user[..16]);
        visitor.user = to_hex(&h1(project.salt.as_bytes(), Namespace::User, &raw_user));
        Member { visitor, raw_user }
    }
}

impl Crowd {
    /// Nobody is there yet.
    pub fn new(collector: &TestCollector) -> Crowd {
        Crowd {
            project: collector.project("crowd"),
            client: collector.client(),
            address: RwLock::new(collector.address()),
            phase: Phase::default(),
            ledger: Mutex::default(),
        }
    }

    /// They come and go while `during` works.
    pub fn run<T>(&self, seed: u64, during: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            let _end = self.phase.begin();
            let random = StdRng::seed_from_u64(seed);
            scope.spawn(move || self.live(random));
            during()
        })
    }

    /// The collector is there again: everything acknowledged is in force.
    pub fn check(&self, collector: &TestCollector) {
        *self.address.write().expect("nobody panics with the lock") = collector.address();
        self.phase.pause(true);
        // The last thing said has its answer when this is given.
        let mut ledger = self.ledger.lock().expect("nobody panics with the ledger");
        let persons = ledger.persons.len() as u64;
        if persons > 0 {
            assert_eq!(active(collector, &self.project), persons, "persons");
            let steps = ["viewed", "$identify"];
            let across_the_login = reached(collector, &self.project, &steps);
            assert_eq!(across_the_login, [persons; 2], "persons before and after they signed in");
        }
        if let Some(member) = ledger.erased.last_mut().and_then(|person| person.first_mut()) {
            let event = member.visitor.event("viewed", 5);
            let receipt = collector.send(&self.project, &[event]).json();
            assert_eq!(receipt["rejected"][0]["code"], "person_erased", "{receipt}");
        }
        drop(ledger);
        self.phase.pause(false);
    }

    /// How many things were said, all of them acknowledged.
    pub fn said(&self) -> usize {
        self.ledger.lock().expect("nobody panics with the ledger").said
    }

    fn live(&self, mut random: StdRng) {
        loop {
            match self.phase.now() {
                Now::Running => {}
                Now::Paused => {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                }
                Now::Ending | Now::Failed => return,
            }
            let mut ledger = self.ledger.lock().expect("nobody panics with the ledger");
            if self.say(&mut ledger, &mut random).is_none() {
                return;
            }
            ledger.said += 1;
            drop(ledger);
            thread::sleep(PAUSE);
        }
    }

    /// Say one thing until it is answered; `None` when the test has failed meanwhile.
    fn say(&self, ledger: &mut Ledger, random: &mut StdRng) -> Option<()> {
        let what = random.random_range(0..100);
        let persons = &mut ledger.persons;
        if what >= JOINED + ERASED || persons.len() < 3 {
            let mut member = Member::new(&self.project, random);
            self.send(&member.visitor.event("viewed", 50))?;
            self.send(&member.visitor.signed_in("$identify", 40))?;
            persons.push(vec![member]);
            return Some(());
        }
        let mut one = persons.swap_remove(random.random_range(0..persons.len()));
        let named = |person: &[Member], random: &mut StdRng| {
            let user = &person[random.random_range(0..person.len())].raw_user;
            json!({ "user_id": user })
        };
        if what < ERASED {
            let reply = self.post("/v1/erase", &named(&one, random))?;
            assert_eq!(reply.status, 200, "{}", reply.text);
            ledger.erased.push(one);
            return Some(());
        }
        let at = random.random_range(0..persons.len());
        let alias = json!({ "from": named(&one, random), "to": named(&persons[at], random) });
        let reply = self.post("/v1/alias", &alias)?;
        // It was done, and the answer was lost.
        let is_again = reply.status == 409 && reply.code() == "same_person";
        assert!(reply.status == 200 || is_again, "{}", reply.text);
        persons[at].append(&mut one);
        Some(())
    }

    fn send(&self, event: &Event) -> Option<()> {
        let body = batch(&self.project.write_key, std::slice::from_ref(event)).to_string();
        let receipt = self.until_answered("/v1/batch", &[("content-type", "text/plain")], &body)?;
        let told = receipt.json();
        let stored = told["ok"].as_u64().zip(told["dup"].as_u64()).map(|(ok, dup)| ok + dup);
        assert_eq!(stored, Some(1), "{}", receipt.text);
        Some(())
    }

    fn post(&self, path: &str, body: &Value) -> Option<Reply> {
        let bearer = format!("Bearer {}", self.project.secret_key);
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        self.until_answered(path, &headers, &body.to_string())
    }

    fn until_answered(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Option<Reply> {
        loop {
            let address = *self.address.read().expect("nobody panics with the lock");
            match self.client.post(address, path, headers, body.as_bytes()) {
                Ok(reply) if reply.status < 500 => return Some(reply),
                _ if self.phase.now() == Now::Failed => return None,
                _ => thread::sleep(AGAIN_AFTER),
            }
        }
    }
}
