//! One visit: the pages somebody opens, what they do there, and how far they get towards buying.
//!
//! In: a person, what they did before ([`Past`]) and the moment. Out: the visit's events in order.
//! Invariant: a later step of the checkout happens only after the earlier one, in the same visit,
//! and an exposure comes before what it is meant to change.
//!
//! The two experiments are decided here: `buy-button` has an effect (see [`GREEN_EFFECT`]), and
//! nothing in this file ever looks at `short_headline` again, which is why `headline` has none.

use serde_json::{Map, Value, json};

use super::catalogue::{ARTICLES, Article, Device, Landing, PRODUCTS, Product, SOURCES, Source};
use super::people::Person;
use super::random::Random;
use super::{DemoEvent, DemoSpec, Dim};

/// A green button puts this much more into carts: about a fifth more buyers in the end.
const GREEN_EFFECT: f64 = 1.27;
/// Chances of the checkout for an average person, step by step.
const CART_RATIO: f64 = 0.115;
const CHECKOUT_RATIO: f64 = 0.57;
const PURCHASE_RATIO: f64 = 0.66;

/// What earlier visits left behind.
#[derive(Default)]
pub struct Past {
    visits: u32,
    account: bool,
    installed: bool,
    prompted: bool,
    /// The device's event counter: main and second device.
    seq: [u32; 2],
}

/// One visit being told: a clock that moves on and a place for its events.
struct Visit<'a> {
    person: &'a Person,
    device: &'static Device,
    source: Option<&'static Source>,
    second: bool,
    standalone: bool,
    session: u128,
    ts_ms: i64,
    end_ms: i64,
    random: Random,
    past: &'a mut Past,
    each: &'a mut dyn FnMut(DemoEvent),
}

/// Tell one visit, which a letter may have brought about. Events at or after the end of the demo are not told.
pub fn tell(
    person: &Person,
    past: &mut Past,
    (start_ms, by_letter): (i64, bool),
    spec: &DemoSpec,
    mut random: Random,
    each: &mut dyn FnMut(DemoEvent),
) {
    let second = past.visits > 0 && person.second_device.is_some() && random.chance(0.35);
    let device = person.second_device.filter(|_| second).unwrap_or(person.device);
    let standalone = past.installed && !second && !by_letter && random.chance(0.68);
    // The first visit has a source; later ones mostly come straight back.
    let source = match past.visits {
        0 => Some(person.source),
        _ if by_letter => Some(person.source),
        _ if standalone || random.chance(0.62) => None,
        _ if random.chance(0.6) => Some(person.source),
        _ => Some(random.weighted(SOURCES)),
    };
    let session = uuid7(start_ms, &mut random);
    let mut visit = Visit {
        person,
        device,
        source,
        second,
        standalone,
        session,
        ts_ms: start_ms,
        end_ms: spec.end_ms,
        random,
        past,
        each,
    };
    visit.run(spec);
    visit.past.visits += 1;
}

/// A version 7 UUID for a moment, from the demo's own randomness.
fn uuid7(ts_ms: i64, random: &mut Random) -> u128 {
    let mut bytes = [0_u8; 10];
    bytes[..8].copy_from_slice(&random.next().to_be_bytes());
    bytes[8..].copy_from_slice(&random.next().to_be_bytes()[..2]);
    tallymark_protocol::uuid7::make(ts_ms.max(0) as u64, bytes)
}

impl Visit<'_> {
    fn run(&mut self, spec: &DemoSpec) {
        if self.standalone {
            self.emit("$pwa_launch", json!({ "display_mode": "standalone" }), "/");
        }
        if self.person.customer && !self.past.account {
            self.identify("/");
        }
        let (mut page, mut budget) = (self.landing(), 40);
        loop {
            page = match page {
                Page::Home => self.home(spec),
                Page::Shelf => self.shelf(),
                Page::Product => self.product(spec),
                Page::Journal => self.journal(),
                Page::Article => self.article(),
                Page::Leave => break,
            };
            budget -= 1;
            let curiosity = self.person.curiosity * if self.standalone { 1.06 } else { 1.0 };
            if budget == 0 || !self.random.chance(curiosity.min(0.93)) {
                break;
            }
        }
        self.offer_install();
    }

    fn landing(&mut self) -> Page {
        let lands = self.source.map_or(Landing::Anywhere, |source| source.lands);
        let choices: &[(f64, Page)] = match lands {
            Landing::Goods => &[(0.75, Page::Product), (0.25, Page::Shelf)],
            Landing::Answers => &[(0.5, Page::Article), (0.3, Page::Product), (0.2, Page::Home)],
            Landing::Reading => &[(0.6, Page::Article), (0.4, Page::Product)],
            Landing::Letter => &[(0.5, Page::Article), (0.35, Page::Product), (0.15, Page::Home)],
            Landing::Anywhere => &[(0.55, Page::Home), (0.25, Page::Shelf), (0.2, Page::Journal)],
        };
        *self.random.weighted(choices)
    }

    fn home(&mut self, spec: &DemoSpec) -> Page {
        self.page("/");
        if self.running(spec, 0.35) {
            let variant = if self.person.short_headline { "short" } else { "control" };
            self.emit("$exposure", json!({ "experiment": "headline", "variant": variant }), "/");
        }
        self.pause(14.0);
        if self.random.chance(0.025) {
            self.emit("newsletter_subscribed", json!({ "place": "home" }), "/");
        }
        *self.random.weighted(&[
            (0.46, Page::Shelf),
            (0.24, Page::Product),
            (0.3, Page::Journal),
            (0.1, Page::Leave),
        ])
    }

    fn shelf(&mut self) -> Page {
        self.page("/shop");
        self.pause(18.0);
        if self.random.chance(0.14) {
            let results = self.random.below(12);
            self.emit("search_performed", json!({ "results": results }), "/shop");
            self.pause(9.0);
        }
        *self.random.weighted(&[(0.8, Page::Product), (0.08, Page::Journal), (0.12, Page::Leave)])
    }

    fn journal(&mut self) -> Page {
        self.page("/journal");
        self.pause(11.0);
        *self.random.weighted(&[(0.84, Page::Article), (0.08, Page::Shelf), (0.08, Page::Leave)])
    }

    fn article(&mut self) -> Page {
        let article: &Article = self.random.weighted(ARTICLES);
        let path = format!("/journal/{}", article.id);
        self.page(&path);
        let engaged_s = self.random.log_normal(article.read_s * 0.55, 0.9).min(1_500.0);
        // Nobody reads faster than the text is long; many stop half way.
        let completion = (engaged_s / article.read_s).min(1.0);
        self.ts_ms += (engaged_s * 1_000.0) as i64;
        self.emit(
            "$content_view",
            json!({
                "content_id": article.id, "content_type": "article", "owner": article.author,
                "engaged_ms": (engaged_s * 1_000.0) as i64,
                "completion": (completion * 100.0).round() / 100.0,
            }),
            &path,
        );
        self.pause(5.0);
        *self.random.weighted(&[
            (0.42, Page::Article),
            (0.2, Page::Product),
            (0.14, Page::Shelf),
            (0.24, Page::Leave),
        ])
    }

    fn product(&mut self, spec: &DemoSpec) -> Page {
        let product: &Product = self.random.weighted(PRODUCTS);
        let path = format!("/shop/{}", product.id);
        self.page(&path);
        let tested = self.running(spec, 0.1);
        if tested {
            let variant = if self.person.green_button { "green" } else { "control" };
            self.emit(
                "$exposure",
                json!({ "experiment": "buy-button", "variant": variant }),
                &path,
            );
        }
        self.emit(
            "view_product",
            json!({ "product": product.id, "category": product.category, "price": product.price }),
            &path,
        );
        let engaged_s = self.random.log_normal(21.0, 0.8).min(600.0);
        self.ts_ms += (engaged_s * 1_000.0) as i64;
        self.emit(
            "$content_view",
            json!({
                "content_id": product.id, "content_type": "product", "owner": product.maker,
                "engaged_ms": (engaged_s * 1_000.0) as i64,
                "completion": ((engaged_s / 40.0).min(1.0) * 100.0).round() / 100.0,
            }),
            &path,
        );
        let effect = if tested && self.person.green_button { GREEN_EFFECT } else { 1.0 };
        if self.random.chance((CART_RATIO * self.person.intent * effect).min(0.8)) {
            return self.checkout(product, &path);
        }
        *self.random.weighted(&[(0.5, Page::Product), (0.3, Page::Shelf), (0.2, Page::Leave)])
    }

    fn checkout(&mut self, product: &Product, path: &str) -> Page {
        let quantity = *self.random.weighted(&[(0.76, 1), (0.17, 2), (0.07, 3)]);
        self.emit(
            "add_to_cart",
            json!({ "product": product.id, "category": product.category,
                    "price": product.price, "quantity": quantity }),
            path,
        );
        self.pause(35.0);
        if !self.random.chance(CHECKOUT_RATIO) {
            return Page::Shelf;
        }
        self.page("/checkout");
        let plan = *self.random.weighted(&[(0.78, "once"), (0.22, "subscription")]);
        let value = (product.price * f64::from(quantity) * 100.0).round() / 100.0;
        self.emit(
            "checkout_started",
            json!({ "value": value, "currency": "EUR", "plan": plan }),
            "/checkout",
        );
        self.pause(95.0);
        // Paying on a phone without the app loses some.
        let ease = if self.device.0 == "mobile" && !self.standalone { 0.86 } else { 1.08 };
        if !self.random.chance(PURCHASE_RATIO * ease) {
            return Page::Leave;
        }
        self.emit(
            "purchase",
            json!({ "value": value, "currency": "EUR", "plan": plan, "product": product.id,
                    "category": product.category, "quantity": quantity }),
            "/checkout",
        );
        self.page("/thanks");
        if !self.past.account && self.random.chance(0.38) {
            self.pause(20.0);
            self.identify("/thanks");
        }
        Page::Leave
    }

    /// People with an account carry their user id from here on.
    fn identify(&mut self, path: &str) {
        self.past.account = true;
        self.emit("$identify", json!({}), path);
    }

    /// The browser offers to install the site to people who come back.
    fn offer_install(&mut self) {
        let able = self.device.3 && !self.second && !self.past.prompted;
        if !able || self.past.visits == 0 || !self.random.chance(0.4) {
            return;
        }
        self.past.prompted = true;
        self.pause(4.0);
        self.emit("$pwa_prompt", json!({ "outcome": "shown" }), "/");
        self.pause(6.0);
        if !self.random.chance(0.31) {
            self.emit("$pwa_prompt", json!({ "outcome": "dismissed" }), "/");
            return;
        }
        self.emit("$pwa_prompt", json!({ "outcome": "accepted" }), "/");
        self.pause(3.0);
        if self.random.chance(0.93) {
            self.emit("$pwa_install", json!({}), "/");
            self.past.installed = true;
        }
    }

    /// Whether an experiment that began `share` into the period is running by now.
    fn running(&self, spec: &DemoSpec, share: f64) -> bool {
        let period_ms = i64::from(spec.days) * super::rhythm::DAY_MS;
        self.ts_ms >= spec.end_ms - period_ms + (share * period_ms as f64) as i64
    }

    fn page(&mut self, path: &str) {
        self.emit("$pageview", json!({}), path);
        self.pause(3.0);
    }

    /// Let a log-normal time with this median pass.
    fn pause(&mut self, median_s: f64) {
        self.ts_ms += (self.random.log_normal(median_s, 0.7) * 1_000.0) as i64 + 1;
    }

    fn emit(&mut self, name: &'static str, props: Value, path: &str) {
        if self.ts_ms >= self.end_ms {
            return;
        }
        let Value::Object(props) = props else { return };
        let side = usize::from(self.second);
        let seq = self.past.seq[side];
        self.past.seq[side] += 1;
        let id = uuid7(self.ts_ms, &mut self.random);
        let device_id = format!("device-{}-{}", self.person.number, side + 1);
        let user_id = self.past.account.then(|| format!("user-{}", self.person.number));
        let event = DemoEvent {
            id,
            name,
            ts_ms: self.ts_ms,
            seq,
            device_id,
            user_id,
            session: self.session,
            dims: self.dims(path),
            props: sorted(props),
        };
        (self.each)(event);
    }

    fn dims(&self, path: &str) -> Vec<(Dim, String)> {
        let mut dims = vec![
            (Dim::Path, path.to_owned()),
            (Dim::Host, "kettle-and-leaf.example".to_owned()),
            (Dim::Country, self.person.country.0.to_owned()),
            (Dim::Language, self.person.country.2.to_owned()),
            (Dim::DeviceType, self.device.0.to_owned()),
            (Dim::Os, self.device.1.to_owned()),
            (Dim::Browser, self.device.2.to_owned()),
        ];
        let mode = if self.standalone { "standalone" } else { "browser" };
        dims.push((Dim::DisplayMode, mode.to_owned()));
        let channel = self.source.map_or("direct", |source| source.channel);
        dims.push((Dim::Channel, channel.to_owned()));
        if let Some(host) = self.source.and_then(|source| source.referrer_host) {
            dims.push((Dim::ReferrerHost, host.to_owned()));
        }
        if let Some((source, medium, campaign)) = self.source.and_then(|source| source.utm) {
            dims.push((Dim::UtmSource, source.to_owned()));
            dims.push((Dim::UtmMedium, medium.to_owned()));
            dims.push((Dim::UtmCampaign, campaign.to_owned()));
        }
        dims
    }
}

/// Where a visitor is, or goes next.
#[derive(Clone, Copy)]
enum Page {
    Home,
    Shelf,
    Product,
    Journal,
    Article,
    Leave,
}

/// Keys in one order, whatever map type `serde_json` was built with.
fn sorted(props: Map<String, Value>) -> Map<String, Value> {
    let mut pairs: Vec<_> = props.into_iter().collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs.into_iter().collect()
}
