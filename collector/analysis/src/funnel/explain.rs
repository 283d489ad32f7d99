//! What rules make of a person's funnel, for `explain`.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::rule::{Difference, Rule};
use super::walk::Walker;
use super::{Question, bind, check, walk};
use crate::answer::LATENESS_MS;
use crate::events::{Dictionaries, Run};
use crate::explain::answer::{Outcome, OutcomeStep};
use crate::explain::{Asked, Counted, Explain, Mark, Rules};
use crate::question::{Common, Compiled, Context, QuestionError, definition, parse};

/// What can be a reason: its code, and what it means.
pub(crate) const REASONS: &[(&str, &str)] = Difference::SAID;

/// Understand a funnel that is explained.
///
/// # Errors
/// [`QuestionError`] when a field is wrong, or a rule does not know what the funnel asks for.
pub(crate) fn compile(
    mut body: Map<String, Value>,
    context: &Context,
    asked: Asked,
) -> Result<Compiled, QuestionError> {
    let common = Common::take(&mut body, context)?.without_breakdown()?;
    let mut question: Question = parse(body)?;
    if question.bucket.is_some() {
        let detail = "rules are explained person by person; leave it out".into();
        return Err(QuestionError::Field { field: "bucket", detail });
    }
    let mut of = [0; 2];
    for (bits, name) in of.iter_mut().zip(&asked.rules) {
        *bits = Rule::parse("rules", name)?.bits();
        question.compat = Some(name.clone());
        check(&question)?;
    }
    question.compat = None;
    let bound = bind(&common, &mut question)?;
    let events: Vec<_> = question.steps.iter().map(|step| step.event.clone()).collect();
    let complete_after_ms =
        common.to_ms.saturating_add(bound.window_ms).saturating_add(LATENESS_MS);
    let (plan, matcher) = (bound.plan(&common), bound.matcher.clone());
    let shape = Arc::new(bound.walk(&common, events.len()));
    let definition = asked.definition("funnel", definition(&common, &question));
    let counted = move || Chains {
        walker: Walker::new(Arc::clone(&shape), matcher.clone()),
        shapes: vec![(Rule::OURS, Arc::clone(&shape))],
    };
    let read = move |marks: &[Mark]| Outcome::Funnel {
        reached: marks.last().map_or(0, |mark| mark.what[0] + 1),
        steps: marks.iter().map(|mark| step(mark, &events)).collect(),
    };
    let rules = Rules { of, said: REASONS };
    Ok(Compiled::new(definition, Explain { plan, asked, rules, counted, read, complete_after_ms }))
}

fn step(mark: &Mark, events: &[Option<String>]) -> OutcomeStep {
    let [step, _] = mark.what;
    OutcomeStep { step: step + 1, event: events[step].clone(), at: mark.at_ms }
}

/// The chain that counts, by rule.
struct Chains {
    walker: Walker,
    /// The funnel under each rule that was tried.
    shapes: Vec<(Rule, Arc<walk::Shape>)>,
}

impl Counted for Chains {
    fn outcome(&mut self, run: &Run<'_>, dictionaries: &Dictionaries, rule: u8) -> Vec<Mark> {
        let rule = Rule::from_bits(rule);
        let known = self.shapes.iter().find(|(of, _)| *of == rule);
        let shape = known.map(|(_, shape)| Arc::clone(shape)).unwrap_or_else(|| {
            let mut shape = walk::Shape::clone(&self.shapes[0].1);
            shape.options.rule = rule;
            let shape = Arc::new(shape);
            self.shapes.push((rule, Arc::clone(&shape)));
            shape
        });
        self.walker.follow(shape);
        let chain = self.walker.chain_of(run, dictionaries);
        chain.into_iter().map(|(step, at_ms)| Mark { what: [step, 0], at_ms }).collect()
    }
}
