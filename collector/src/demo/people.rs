//! Who visits the demo's site: one person's traits and the moments of their visits.
//!
//! In: the seed and a person's number. Out: a [`Person`] and their visit times, sorted. Invariant:
//! a person depends on the seed and their own number only.

use super::DemoSpec;
use super::catalogue::{COUNTRIES, Country, DEVICES, Device, SOURCES, Source};
use super::random::Random;
use super::rhythm::{self, DAY_MS};

/// What stays the same about somebody over all their visits.
pub struct Person {
    /// 0-based.
    pub number: u32,
    /// Where they live.
    pub country: &'static Country,
    /// What they came with first, and mostly come with.
    pub device: &'static Device,
    /// A second device of theirs, if any.
    pub second_device: Option<&'static Device>,
    /// How they found the site.
    pub source: &'static Source,
    /// How far they read on, 0..1: the chance of opening one more page.
    pub curiosity: f64,
    /// How much likelier than average they are to buy.
    pub intent: f64,
    /// Had an account before the demo's first day.
    pub customer: bool,
    /// `green` on the buy button, or the `control` of the shop so far.
    pub green_button: bool,
    /// `short` headline, or the `control`.
    pub short_headline: bool,
}

/// Draw one person. `random` is theirs alone.
pub fn draw(number: u32, random: &mut Random) -> Person {
    let source = random.weighted(SOURCES);
    let country = random.weighted(COUNTRIES);
    let device = random.weighted(DEVICES);
    let second_device = random.chance(0.18).then(|| random.weighted(DEVICES));
    Person {
        number,
        country,
        device,
        second_device,
        source,
        curiosity: random.between(0.52, 0.86),
        intent: source.intent * random.log_normal(0.85, 0.5),
        customer: random.chance(0.14),
        green_button: random.chance(0.5),
        short_headline: random.chance(0.5),
    }
}

/// When this person visits, Unix milliseconds, sorted, within the demo's days.
///
/// The first visit is spread over the period with growth. How many more follow is heavy-tailed:
/// most people never return, a few come daily. Later visits thin out with age, which is what a
/// retention grid shows. `busyness` scales the number of returns.
pub fn visits(person: &Person, spec: &DemoSpec, busyness: f64, random: &mut Random) -> Vec<i64> {
    let period_ms = i64::from(spec.days) * DAY_MS;
    let from_ms = spec.end_ms - period_ms;
    // Customers of long standing show up within the first fortnight, newcomers at any time.
    let first = rhythm::moment(random, person.country.1, |random| {
        let share = if person.customer {
            random.unit() * (14.0 / f64::from(spec.days)).min(1.0)
        } else {
            rhythm::arrival(random, 1.9)
        };
        from_ms + (share * period_ms as f64) as i64
    });
    let mut visits = vec![first];
    let returns = if person.customer || random.chance(0.52) {
        // Somebody with the whole period ahead returns more often than a newcomer of yesterday.
        let ahead = ((spec.end_ms - first) as f64 / period_ms as f64).sqrt();
        random.log_normal(4.2, 1.15) * busyness * ahead
    } else {
        0.0
    };
    // The fraction is a chance of one more visit, so that totals move smoothly with `busyness`.
    let returns = returns.floor() as usize + usize::from(random.chance(returns.fract()));
    let staying = random.between(1.3, 3.2);
    for _ in 0..returns.min(400) {
        visits.push(rhythm::moment(random, person.country.1, |random| {
            let age = random.unit().powf(staying) * (spec.end_ms - first) as f64;
            first + 30 * 60_000 + age as i64
        }));
    }
    visits.retain(|ts_ms| *ts_ms < spec.end_ms);
    visits.sort_unstable();
    // Two visits within the half hour would be one session.
    visits.dedup_by(|later, earlier| *later - *earlier < 45 * 60_000);
    visits
}

/// How many of those who came by a letter before come by this one.
const BY_LETTER_RATIO: f64 = 0.25;

/// The visit to which the letter leads, if it leads this person to one: in the hours after it, most of them soon.
pub fn visit_by_letter(
    person: &Person,
    spec: &DemoSpec,
    visits: &[i64],
    random: &mut Random,
) -> Option<i64> {
    let letter_ms = spec.letter_ms();
    let is_reader = person.source.channel == "email" && visits.first()? < &letter_ms;
    if !is_reader || !random.chance(BY_LETTER_RATIO) {
        return None;
    }
    let at_ms = letter_ms + (random.log_normal(75.0, 0.9).min(900.0) * 60_000.0) as i64;
    let is_apart = visits.iter().all(|visit| (visit - at_ms).abs() >= 45 * 60_000);
    (is_apart && at_ms < spec.end_ms).then_some(at_ms)
}
