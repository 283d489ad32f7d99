//! Who did it: from what an event says about its user and device to two numbers.
//!
//! In: hashes made in the browser, or raw ids from a server with a secret key, or nothing but a
//! request. Out: `person` and `actor` for the row.
//!
//! Invariant: what leaves is keyed with the pepper or with a day's salt. First-stage hashes and raw
//! ids end here.
//!
//! Deliberately elsewhere: joining what someone did before and after signing in (links, in the
//! store).

use std::borrow::Cow;
use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tallymark_protocol::codes::EventCode;
use tallymark_protocol::hashing::{Namespace, ServerHasher, from_hex, h1, normalise};
use tallymark_protocol::limits::RAW_ID_CHARS_MAX;
use tallymark_store::row::flags;

/// Who may call people what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// A write key: everything in the event is hostile, and raw ids have no business there.
    Page,
    /// A secret key with the scope `ingest`.
    Server,
}

/// What an event says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Claims<'a> {
    /// Hash of the user id.
    pub user: Option<&'a str>,
    /// Hash of the device id.
    pub device: Option<&'a str>,
    /// Raw user id.
    pub user_id: Option<&'a str>,
    /// Raw device id.
    pub device_id: Option<&'a str>,
}

/// Whose ids they are.
#[derive(Clone, Copy)]
pub struct Realm<'a> {
    /// The project's number.
    pub project: u32,
    /// The project's salt, as text.
    pub salt: &'a str,
    /// The second stage.
    pub hasher: &'a ServerHasher,
    /// The salt of the day, where the project knows people for a day only.
    pub day_only: Option<&'a [u8; 32]>,
}

/// Somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Who we believe stands behind the event.
    pub person: u64,
    /// The device.
    pub actor: u64,
    /// `IDENTIFIED` and `DAILY_ACTOR`, as they apply.
    pub flags: u8,
}

/// Who did it. `visitor` is asked for the day's number of an unnamed visitor.
///
/// # Errors
/// The code for what is wrong with an id; `nobody_known` when a server names nobody.
pub fn identify(
    claims: &Claims<'_>,
    trust: Trust,
    realm: &Realm<'_>,
    visitor: impl FnOnce() -> u64,
) -> Result<Identity, EventCode> {
    let user = first_stage(
        claims.user,
        EventCode::UserInvalid,
        claims.user_id,
        Namespace::User,
        trust,
        realm,
    )?;
    let device = first_stage(
        claims.device,
        EventCode::DeviceInvalid,
        claims.device_id,
        Namespace::Device,
        trust,
        realm,
    )?;
    if let Some(salt) = realm.day_only {
        // A page's visitor is the one it would be without an id. A server's own network says nothing of a
        // person, so there it is the id, for this day.
        let actor = match (trust, user.or(device)) {
            (Trust::Page, _) => visitor(),
            (Trust::Server, Some(id)) => day_number(salt, realm.project, &id, b"id"),
            (Trust::Server, None) => return Err(EventCode::NobodyKnown),
        };
        return Ok(Identity { person: actor, actor, flags: flags::DAILY_ACTOR });
    }
    let user = user.map(|hash| realm.hasher.person(&hash));
    let device = device.map(|hash| realm.hasher.person(&hash));
    Ok(match (user, device) {
        (Some(person), Some(actor)) => Identity { person, actor, flags: flags::IDENTIFIED },
        (Some(person), None) => Identity { person, actor: person, flags: flags::IDENTIFIED },
        (None, Some(actor)) => Identity { person: actor, actor, flags: 0 },
        (None, None) if trust == Trust::Server => return Err(EventCode::NobodyKnown),
        (None, None) => {
            let actor = visitor();
            Identity { person: actor, actor, flags: flags::DAILY_ACTOR }
        }
    })
}

fn first_stage(
    hash: Option<&str>,
    hash_invalid: EventCode,
    raw: Option<&str>,
    namespace: Namespace,
    trust: Trust,
    realm: &Realm<'_>,
) -> Result<Option<[u8; 32]>, EventCode> {
    if raw.is_some() && trust == Trust::Page {
        return Err(EventCode::RawIdRefused);
    }
    if let Some(hash) = hash {
        return parse_hash(hash).ok_or(hash_invalid).map(Some);
    }
    let Some(raw) = raw else { return Ok(None) };
    let id = normalise(raw);
    if id.is_empty() || id.chars().count() > RAW_ID_CHARS_MAX {
        return Err(EventCode::RawIdInvalid);
    }
    Ok(Some(h1(realm.salt.as_bytes(), namespace, id)))
}

/// A hash as the SDK writes it: 64 lower-case hexadecimal digits.
pub fn parse_hash(text: &str) -> Option<[u8; 32]> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    from_hex(text)
}

/// The number of an unnamed visitor for one day: it cannot be made again once the salt is gone, and
/// the next day's has nothing to do with it. Never 0.
pub fn daily_visitor(salt: &[u8; 32], project: u32, prefix: IpAddr, user_agent: &str) -> u64 {
    let address: Cow<'_, [u8]> = match prefix {
        IpAddr::V4(v4) => v4.octets().to_vec().into(),
        IpAddr::V6(v6) => v6.octets().to_vec().into(),
    };
    day_number(salt, project, &address, user_agent.as_bytes())
}

/// A number that is made of these by a day's salt. Never 0.
fn day_number(salt: &[u8; 32], project: u32, first: &[u8], second: &[u8]) -> u64 {
    let mut mac = Hmac::<Sha256>::new_from_slice(salt).expect("HMAC takes keys of any length");
    mac.update(&project.to_be_bytes());
    mac.update(&[u8::try_from(first.len()).unwrap_or(0)]);
    mac.update(first);
    mac.update(second);
    let hash: [u8; 32] = mac.finalize().into_bytes().into();
    let [a, b, c, d, e, f, g, h, ..] = hash;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use tallymark_protocol::hashing::to_hex;

    const SALT: &str = "5a175a175a175a175a175a175a175a175a175a175a175a175a175a175a175a17";

    fn who(claims: Claims<'_>, trust: Trust) -> Result<Identity, EventCode> {
        let hasher = ServerHasher::new(&[7; 32], 3);
        let realm = Realm { project: 3, salt: SALT, hasher: &hasher, day_only: None };
        identify(&claims, trust, &realm, || 99)
    }

    #[test]
    fn web_and_server_events_of_one_person_meet() {
        let hashed = to_hex(&h1(SALT.as_bytes(), Namespace::User, "ann@example.org"));
        let web = who(Claims { user: Some(&hashed), ..Claims::default() }, Trust::Page).unwrap();
        let server = Claims { user_id: Some(" ann@example.org\n"), ..Claims::default() };
        assert_eq!(who(server, Trust::Server).unwrap().person, web.person);
        assert_eq!(web.flags, flags::IDENTIFIED);
    }

    #[test]
    fn a_user_on_a_device_is_the_person_and_the_device_the_actor() {
        let (user, device) = (to_hex(&[1; 32]), to_hex(&[2; 32]));
        let both = who(
            Claims { user: Some(&user), device: Some(&device), ..Claims::default() },
            Trust::Page,
        );
        let alone = who(Claims { device: Some(&device), ..Claims::default() }, Trust::Page);
        let (both, alone) = (both.unwrap(), alone.unwrap());
        assert_eq!(both.actor, alone.actor);
        assert_ne!(both.person, both.actor);
        assert_eq!(alone.person, alone.actor);
    }

    #[test]
    fn a_user_and_a_device_of_the_same_id_are_different_persons() {
        let user = Claims { user_id: Some("7"), ..Claims::default() };
        let device = Claims { device_id: Some("7"), ..Claims::default() };
        let person = |claims| who(claims, Trust::Server).unwrap().person;
        assert_ne!(person(user), person(device));
    }

    #[test]
    fn an_unnamed_visitor_gets_the_number_of_the_day() {
        let nobody = who(Claims::default(), Trust::Page).unwrap();
        assert_eq!((nobody.person, nobody.actor, nobody.flags), (99, 99, flags::DAILY_ACTOR));
    }

    #[rstest]
    #[case::raw_user_in_a_page(Claims { user_id: Some("ann"), ..Claims::default() }, Trust::Page, EventCode::RawIdRefused)]
    #[case::raw_device_in_a_page(Claims { device_id: Some("d"), ..Claims::default() }, Trust::Page, EventCode::RawIdRefused)]
    #[case::mail_instead_of_hash(Claims { user: Some("ann@example.org"), ..Claims::default() }, Trust::Page, EventCode::UserInvalid)]
    #[case::upper_case_hash(Claims { device: Some("AB"), ..Claims::default() }, Trust::Page, EventCode::DeviceInvalid)]
    #[case::blank_raw_id(Claims { user_id: Some(" \t"), ..Claims::default() }, Trust::Server, EventCode::RawIdInvalid)]
    #[case::nobody_from_a_server(Claims::default(), Trust::Server, EventCode::NobodyKnown)]
    fn refused(#[case] claims: Claims<'_>, #[case] trust: Trust, #[case] code: EventCode) {
        assert_eq!(who(claims, trust), Err(code));
    }

    /// Shows S4-02.
    #[test]
    fn where_people_are_known_for_a_day_no_id_outlives_it() {
        let hasher = ServerHasher::new(&[7; 32], 3);
        let on = |day: &[u8; 32], claims, trust| {
            let realm = Realm { project: 3, salt: SALT, hasher: &hasher, day_only: Some(day) };
            identify(&claims, trust, &realm, || 99)
        };
        let hash = "ab".repeat(32);
        let page = Claims { user: Some(&hash), device: Some(&hash), ..Claims::default() };
        let daily = Identity { person: 99, actor: 99, flags: flags::DAILY_ACTOR };
        assert_eq!(on(&[1; 32], page, Trust::Page), Ok(daily));
        let server = Claims { user_id: Some("ann"), ..Claims::default() };
        let first = on(&[1; 32], server, Trust::Server).unwrap();
        assert_eq!((first.flags, first.person), (flags::DAILY_ACTOR, first.actor));
        assert_eq!(on(&[1; 32], server, Trust::Server), Ok(first), "one person within a day");
        let next = on(&[2; 32], server, Trust::Server).unwrap();
        let lasting = who(server, Trust::Server).unwrap();
        assert!(
            ![next.person, lasting.person].contains(&first.person),
            "{first:?} {next:?} {lasting:?}"
        );
        let nobody = on(&[1; 32], Claims::default(), Trust::Server);
        assert_eq!(nobody, Err(EventCode::NobodyKnown));
        // What is wrong stays wrong.
        assert_eq!(on(&[1; 32], server, Trust::Page), Err(EventCode::RawIdRefused));
    }

    #[test]
    fn upper_case_digits_are_no_hash() {
        assert!(parse_hash(&"ab".repeat(32)).is_some());
        assert!(parse_hash(&"AB".repeat(32)).is_none());
    }

    #[test]
    fn a_visitor_differs_by_day_project_network_and_browser() {
        let net: IpAddr = "203.0.113.0".parse().unwrap();
        let one = daily_visitor(&[1; 32], 1, net, "UA");
        assert_eq!(daily_visitor(&[1; 32], 1, net, "UA"), one);
        for other in [
            daily_visitor(&[2; 32], 1, net, "UA"),
            daily_visitor(&[1; 32], 2, net, "UA"),
            daily_visitor(&[1; 32], 1, "203.0.114.0".parse().unwrap(), "UA"),
            daily_visitor(&[1; 32], 1, net, "UB"),
        ] {
            assert_ne!(other, one);
        }
    }
}
