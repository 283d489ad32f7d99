//! The results page as a whole, in its states, with friendly and with hostile names in it.

use std::collections::BTreeMap;

use askama::Template;
use rstest::rstest;
use tallymark_analysis::answer::*;
use tallymark_store::{EventSchema, PropertySchema, Schema, TypeCounts};

use super::notes::Note;
use super::plan::Plan;
use super::shell::{Place, Shell, nav};
use super::view::{Completeness, Reply};
use crate::access::Role;
use crate::experiments::life::State;
use crate::meta::projects::{Project, Settings};

/// 2026-11-22 12:00 UTC.
const NOW_MS: i64 = 1_795_348_800_000;

fn project(name: &str) -> Project {
    Project {
        id: 1,
        organisation: 1,
        name: name.into(),
        slug: "shop".into(),
        tz: "Europe/Berlin".into(),
        salt: "5a".repeat(32),
        created_ms: 0,
        settings: Settings::default(),
    }
}

fn schema(name: &str) -> Schema {
    let value = PropertySchema {
        types: TypeCounts { numbers: 1, ..TypeCounts::default() },
        last_ms: NOW_MS,
    };
    let event = |properties| EventSchema { count: 5, last_ms: NOW_MS, properties };
    Schema {
        events: BTreeMap::from([
            ("$pageview".to_owned(), event(BTreeMap::new())),
            (name.to_owned(), event(BTreeMap::from([("value".to_owned(), value)]))),
        ]),
    }
}

fn known(body: AnswerBody) -> Reply {
    Ok((body, Completeness::Open))
}

fn days() -> Vec<String> {
    (20..=22).map(|day| format!("2026-11-{day}")).collect()
}

fn series(index: usize, group: Group, value: Option<&str>, event: &str) -> TrendSeries {
    TrendSeries {
        index,
        event: Some(event.into()),
        measure: "persons".into(),
        group,
        value: value.map(|value| tallymark_analysis::answer::GroupValue::One(value.into())),
        data: [4.0, 0.0, 7.5].map(Figure::known).to_vec(),
        total: Figure::known(11.5),
        previous: Some(tallymark_analysis::trend::answer::Previous {
            buckets: days(),
            data: [1.0, 2.0, 3.0].map(Figure::known).to_vec(),
            total: Figure::known(6.0),
        }),
    }
}

fn trend(series: Vec<TrendSeries>) -> Reply {
    known(AnswerBody::Trend(TrendAnswer { buckets: days(), series }))
}

fn funnel(name: &str) -> Reply {
    let step = |step, persons: u64| FunnelStep {
        step,
        event: Some(name.into()),
        optional: false,
        persons,
        conversion_ratio: Some(persons as f64 / 40.0),
        from_previous_ratio: Some(0.5),
        median_ms: Some(61_000.0),
        p90_ms: None,
    };
    known(AnswerBody::Funnel(FunnelAnswer {
        steps: vec![step(1, 40), step(2, 20)],
        breakdown: Vec::new(),
        time_to_convert: Durations {
            persons: 20,
            median_ms: Some(61_000.0),
            ..Durations::default()
        },
        over_time: None,
    }))
}

fn experiment(name: &str) -> Reply {
    let variant = |kind: &str| format!("{kind}{name}");
    let metric_arm = |kind: &str, conversions: u64| ArmMetric {
        variant: variant(kind),
        persons: 1_000,
        conversions,
        rate: Some(conversions as f64 / 1_000.0),
        rate_interval: Some(Bounds { low: 0.08, high: 0.2 }),
        sum: None,
        mean: None,
        value: Some(conversions as f64 / 1_000.0),
        events: None,
    };
    let arm = |kind: &str| Arm {
        variant: variant(kind),
        persons: 1_000,
        expected_ratio: Some(0.5),
        suggested_ratio: None,
    };
    known(AnswerBody::Experiment(Box::new(ExperimentAnswer {
        experiment: name.into(),
        control: Some(variant("a")),
        status: ExperimentStatus::Readable,
        arms: vec![arm("a"), arm("b")],
        excluded: Excluded { multi_variant: 3, variant_mismatch: 1, ..Excluded::default() },
        srm: Srm {
            status: SrmStatus::Ok,
            statistic: Some(0.0),
            degrees_of_freedom: Some(1),
            p_value: Some(1.0),
            sequential_p_value: Some(1.0),
            alarm: false,
        },
        checks: Checks {
            multiple_exposure: MultipleExposureCheck {
                status: CheckStatus::Ok,
                ratio: Some(0.0015),
                joined: None,
                is_biased: false,
                bias: Vec::new(),
            },
            interactions: Vec::new(),
            before: Vec::new(),
            loss: Some(LossCheck {
                status: CheckStatus::Ok,
                p_value: Some(0.5),
                arms: vec![ArmLoss {
                    variant: variant("a"),
                    page_loads: 900,
                    page_loads_with_gaps: 9,
                    completeness_ratio: Some(0.99),
                }],
            }),
        },
        slices: Vec::new(),
        days: Vec::new(),
        outlook: Vec::new(),
        metrics: vec![MetricResult {
            name: name.into(),
            event: name.into(),
            kind: "conversion".into(),
            role: "goal".into(),
            capped_at: None,
            arms: vec![metric_arm("a", 100), metric_arm("b", 150)],
            effects: vec![Effect {
                variant: variant("b"),
                control: variant("a"),
                status: "ok".into(),
                absolute: Some(0.05),
                absolute_interval: Some(Bounds { low: 0.03, high: 0.07 }),
                lift: Some(0.5),
                lift_interval: Some(Bounds { low: 0.2, high: 0.8 }),
                p_value: Some(0.000_000_7),
                // What the page shows, because it invites to look early.
                always_valid: Some(AlwaysValid {
                    absolute_interval: Some(Bounds { low: 0.02, high: 0.08 }),
                    lift_interval: Some(Bounds { low: 0.1, high: 0.9 }),
                    p_value: 0.0007,
                }),
                ..Effect::default()
            }],
        }],
        verdict: Verdict {
            code: Code::Ship,
            reason: VerdictReason::Better,
            variant: Some(variant("b")),
            text: name.into(),
            persons_more: None,
            days_more: None,
        },
    })))
}

fn stage(name: &str, persons: u64, after: u64, ratio: Option<f64>) -> PwaStage {
    PwaStage {
        stage: name.into(),
        count: persons,
        persons,
        persons_after_previous: after,
        from_previous_ratio: ratio,
    }
}

fn cohort(from: &str, ratio: Vec<Option<f64>>) -> RetentionCohort {
    RetentionCohort { from: from.into(), size: 40, returned: vec![40, 10], ratio, sums: None }
}

/// The replies to a page's questions when every name is this one.
fn replies(name: &str) -> (Vec<Reply>, Vec<Reply>) {
    let item = ContentItem {
        id: Some(name.into()),
        content_type: Some(name.into()),
        owner: Some(name.into()),
        views: 9,
        viewers: 4,
        engaged_ms: Figure::known(9_000.0),
        engaged_ms_mean: Figure::known(1_000.0),
        reached: [4, 3, 2, 1],
    };
    let mut first = vec![
        trend(vec![series(0, Group::All, None, name)]),
        trend((0..4).map(|index| series(index, Group::All, None, name)).collect()),
        known(AnswerBody::Active(ActiveAnswer {
            days: days(),
            dau: vec![4, 0, 7],
            wau: vec![Some(9), Some(9), Some(9)],
            mau: vec![Some(9), None, Some(9)],
            stickiness: vec![Some(0.4), None, Some(0.7)],
            stickiness_mean: Some(0.55),
            active_days: Some(vec![5, 3, 1]),
            persons: Some(9),
            reason: None,
        })),
        known(AnswerBody::Retention(RetentionAnswer {
            cohorts: vec![
                cohort("2026-11-09", vec![Some(1.0), Some(0.25), None]),
                cohort("2026-11-16", vec![Some(1.0), None, None]),
            ],
            overall: vec![Some(1.0), Some(0.25), None],
            brackets: None,
            breakdown: Vec::new(),
        })),
        known(AnswerBody::Content(ContentAnswer {
            total: item.clone(),
            items: vec![item],
            contents: 30,
            buckets: Vec::new(),
        })),
        known(AnswerBody::Pwa(PwaAnswer {
            stages: vec![stage("prompt_shown", 8, 8, None), stage(name, 5, 2, Some(0.25))],
            display_modes: vec![PwaMode {
                display_mode: Some(name.into()),
                events: 4,
                persons: 3,
                returned: 1,
                returned_ratio: Some(1.0 / 3.0),
            }],
            persons: 3,
            offline_persons: 0,
            offline_ratio: Some(0.0),
        })),
        trend(vec![series(0, Group::Value, Some(name), "$exposure")]),
        trend(vec![series(0, Group::All, None, name), series(1, Group::All, None, name)]),
        trend(vec![series(0, Group::All, None, name), series(1, Group::All, None, name)]),
        known(AnswerBody::Completeness(CompletenessAnswer {
            known_from: "2026-11-01".into(),
            total: tallymark_analysis::answer::Completeness {
                page_loads: 3,
                issued: 100,
                received: 98,
                missing: 2,
                completeness_ratio: Some(0.98),
                lost: BTreeMap::from([(name.to_owned(), 2)]),
                ..Default::default()
            },
            days: Vec::new(),
            browsers: Vec::new(),
        })),
    ];
    for _ in super::view::tables::TABLES {
        first.push(trend(vec![
            series(0, Group::Value, Some(name), "$pageview"),
            series(0, Group::Absent, None, "$pageview"),
        ]));
    }
    first.push(funnel(name));
    (first, vec![experiment(name)])
}

fn render(name: &str, query: &str) -> String {
    let (first, second) = replies(name);
    render_with(name, query, &first, &second)
}

fn render_with(name: &str, query: &str, first: &[Reply], second: &[Reply]) -> String {
    let own = project(name);
    let plan = Plan::new(&own, schema(name), Vec::new(), query, NOW_MS);
    let html = page(&plan, shell(&own), first, second, Vec::new());
    without_our_script(&html.expect("the template renders"))
}

fn page(
    plan: &Plan<'_>,
    shell: Shell,
    first: &[Reply],
    second: &[Reply],
    notes: Vec<Note>,
) -> askama::Result<String> {
    let answer = plan.results(first, second, notes, "now".into()).render()?;
    plan.page(shell, answer).render()
}

/// The shell of the project's first page, with another project to switch to.
fn shell(project: &Project) -> Shell {
    let projects = [project.name.clone(), "other".to_owned()].map(|name| (name, "shop".to_owned()));
    Shell { nav: Some(nav(project, projects.into(), Role::Viewer, Place::Home)), ..Shell::new() }
}

/// A page without the one script it may load.
fn without_our_script(html: &str) -> String {
    let ours = format!("<script defer src=\"{}\"></script>", Shell::new().js);
    assert_eq!(html.matches(&ours).count(), 1, "{html}");
    html.replace(&ours, "")
}

/// The tags of a page with the names of their attributes: its structure without texts. Sorted,
/// because a list of names is sorted by name.
fn structure(html: &str) -> Vec<String> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let (mut tag, mut quoted, mut value, mut end) = (String::new(), false, false, rest.len());
        for (index, c) in rest.char_indices() {
            match c {
                '"' => quoted = !quoted,
                '>' if !quoted => {
                    end = index;
                    break;
                }
                '=' if !quoted => value = true,
                ' ' | '\n' if !quoted => {
                    value = false;
                    tag.push(' ');
                }
                c if !quoted && !value => tag.push(c),
                _ => {}
            }
        }
        tags.push(tag);
        rest = &rest[end..];
    }
    tags.sort_unstable();
    tags
}

#[rstest]
#[case::element("</span></td><script>alert(1)</script>")]
#[case::attribute("\" onmouseover=\"alert(1)")]
#[case::single_quotes("' autofocus onfocus='alert(1)")]
#[case::image("<img src=x onerror=alert(1)>")]
#[case::svg("</text></svg><svg onload=alert(1)>")]
#[case::closing_the_form("</select></form><form action=//evil.example>")]
#[case::entity("&lt;script&gt;&#34;&quot;")]
#[case::template("{{ 7 * 7 }}{% raw %}")]
#[case::comment("<!-- --><![CDATA[ ]]>")]
#[case::script_address("javascript:alert(1)")]
#[case::right_to_left("\u{202e}txt.exe\u{2066}")]
#[case::control_characters("a\u{1}b\u{7f}c\u{1b}[2J")]
fn no_name_changes_the_structure_of_the_page(#[case] evil: &str) {
    let query = "range=7d&step=$pageview&step=";
    let encoded: String = url::form_urlencoded::byte_serialize(evil.as_bytes()).collect();
    let html =
        render(evil, &format!("{query}{encoded}&tz={encoded}&window={encoded}&metric={encoded}"));
    let plain =
        render("purchase", &format!("{query}purchase&tz=nowhere&window=5h&metric=purchase"));
    assert_eq!(structure(&html), structure(&plain));
    assert!(!html.contains("<script") && !html.contains("href=\"javascript:"));
}

#[test]
fn the_page_shows_the_figures_it_was_given() {
    let html = render("purchase", "");
    for text in [
        "+91.7\u{a0}%",
        "from 6",
        "Sample ratio as planned",
        "3\u{a0}people saw two variants",
        "“bpurchase” lies above “apurchase”: 15.0\u{a0}% against 10.0\u{a0}%",
        "+2.0 to +8.0 percentage points",
        "fewer than 1 of 1,000",
        "class=\"s9\">25.0\u{a0}%",
        "class=\"pending\"",
        "50.0\u{a0}%</b> went on, median 1\u{a0}min 1\u{a0}s",
        "not complete until Thu 26\u{a0}Nov 2026",
        "29 more",
        "2 of the 8 before: 25.0\u{a0}%",
    ] {
        // `'` aside, these texts have nothing that is escaped.
        assert!(html.contains(text), "{text} is missing in {html}");
    }
}

#[test]
fn rows_and_heads_lead_to_the_same_question_in_its_builder() {
    let html = render("a&b", "range=7d&step=$pageview&step=a%26b&window=1d");
    let escaped = html.replace("&#38;", "&").replace("&amp;", "&");
    for address in [
        "trend?range=7d&by1=path",
        "trend?range=7d&fp=path&fo=eq&fv=a%26b",
        "trend?range=7d&fp=country&fo=not_set&fv=",
        "trend?range=7d&event=%24pageview&measure=count",
        "active?range=7d",
        "funnel?range=7d&window=1d&step=%24pageview&step=a%26b",
        "retention?range=7d&bucket=week",
        "content?range=7d",
        "pwa?range=7d",
    ] {
        assert!(escaped.contains(&format!("href=\"/p/shop/ask/{address}\"")), "{address}: {html}");
    }
}

#[test]
fn what_the_team_noted_is_marked_in_the_charts_and_stands_in_their_tables() {
    let (first, second) = replies("purchase");
    let own = project("shop");
    let plan = Plan::new(&own, schema("purchase"), Vec::new(), "", NOW_MS);
    let note = Note { at_ms: NOW_MS, at: "22 Nov".into(), text: "<b>release".into() };
    let html = page(&plan, shell(&own), &first, &second, vec![note]);
    let html = html.expect("the template renders");
    let title = "<title>22 Nov: &lt;b&gt;release</title>";
    assert_eq!(html.matches(title).count(), 2, "active people and page views: {html}");
    assert_eq!(html.matches("22 Nov: &#60;b&#62;release</td>").count(), 2, "{html}");
}

#[test]
fn the_rest_of_a_table_leads_nowhere() {
    let (mut first, second) = replies("purchase");
    first[10] = trend(vec![series(0, Group::Other, None, "$pageview")]);
    let html = render_with("purchase", "", &first, &second);
    assert!(html.contains("<span class=\"cell\" title=\"All others\">"), "{html}");
}

#[test]
fn a_question_without_an_answer_says_so_in_its_place_alone() {
    let (mut first, second) = replies("purchase");
    first[2] = Err("too many questions are waiting; try again in a second".into());
    let html = render_with("purchase", "", &first, &second);
    assert_eq!(html.matches("There is no answer to this just now").count(), 1);
    assert!(html.contains("too many questions are waiting"));
    assert!(html.contains("Sample ratio as planned"), "the rest is there");

    let none = |replies: &[Reply]| -> Vec<Reply> {
        replies.iter().map(|_| Err("closed".to_owned())).collect()
    };
    let html = render_with("purchase", "", &none(&first), &none(&second));
    assert_eq!(html.matches("There is no answer to this just now").count(), 15);
}

#[test]
fn a_page_asks_for_nothing_outside_and_carries_no_style_of_its_own() {
    let html = render("purchase", "range=90d");
    for word in ["<script", " style=", "<style", "src=\"http", "href=\"http", "@import"] {
        assert!(!html.contains(word), "{word}");
    }
}

#[test]
fn an_experiment_that_is_defined_is_asked_by_its_key_alone() {
    let project = project("shop");
    let (first, _) = replies("shop");
    let questions = |defined: Vec<(String, State)>, schema: Schema| {
        let plan = Plan::new(&project, schema, defined, "", NOW_MS);
        plan.experiment_questions(&first).into_iter().map(|asked| asked.body).collect::<Vec<_>>()
    };
    let by_key = |key: &str| serde_json::json!({ "experiment": key, "tz": "Europe/Berlin", "loss": false, "interactions": [] });
    let defined = questions(vec![("shop".into(), State::Running)], schema("shop"));
    assert_eq!(defined, [by_key("shop")]);
    // Those that nobody has met come after it, unless they are over.
    let life = [("draft", State::Draft), ("over", State::Concluded), ("shop", State::Running)];
    let life = life.map(|(key, state)| (key.to_owned(), state));
    assert_eq!(questions(life.into(), schema("shop")), [by_key("shop"), by_key("draft")]);
    let elsewhere = questions(Vec::new(), schema("shop"));
    assert!(elsewhere[0]["metrics"].is_array() && elsewhere[0]["from"].is_string());
}

#[rstest]
#[case::a_draft(State::Draft, "“waiting” is a draft: nobody meets it before it runs.")]
#[case::running(State::Running, "“waiting” is running, and nobody has met it yet.")]
#[case::paused(State::Paused, "“waiting” is paused, and nobody met it before.")]
fn an_experiment_that_nobody_has_met_is_on_the_page(#[case] state: State, #[case] words: &str) {
    let (first, mut second) = replies("shop");
    let mut unmet = second[0].clone();
    if let Ok((AnswerBody::Experiment(answer), _)) = &mut unmet {
        answer.arms.iter_mut().for_each(|arm| arm.persons = 0);
        answer.excluded = Excluded::default();
    }
    second.push(unmet);
    let project = project("shop");
    let defined = vec![("waiting".to_owned(), state)];
    let plan = Plan::new(&project, schema("shop"), defined, "", NOW_MS);
    let html = page(&plan, shell(&project), &first, &second, Vec::new()).expect("it renders");
    assert!(html.contains(words), "{html}");
}

#[rstest]
#[case::conversions("conversion", "10.0", "percentage points")]
#[case::means("mean", "0.1", "0.02 to 0.08")]
fn an_experiment_is_told_in_the_figures_of_its_metric(
    #[case] kind: &str,
    #[case] value: &str,
    #[case] range: &str,
) {
    let (first, mut second) = replies("shop");
    if let Ok((AnswerBody::Experiment(answer), _)) = &mut second[0] {
        answer.metrics[0].kind = kind.into();
        answer.verdict.text = "Ship bshop: it is better.".into();
    }
    let html = render_with("shop", "", &first, &second);
    assert!(html.contains("Ship bshop: it is better. “bshop” lies above “ashop”"), "{html}");
    assert!(html.contains(value) && html.contains(range), "{html}");
    assert!(
        html.contains("Arms lose alike") && html.contains("99.0\u{a0}% of events arrived"),
        "{html}"
    );
}
