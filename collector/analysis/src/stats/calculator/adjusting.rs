//! Less noise, other metrics, other hypotheses: CUPED, strata, quantiles, guardrails.

use serde::Deserialize;
use serde_json::{Value, json};

use super::arms::{arm, comparison, ends, moments};
use super::{StatsError, checked_alpha, default_alpha, read};
use crate::stats::moments::Moments;
use crate::stats::non_inferiority::{self, Preferred};
use crate::stats::quantile_metric::Observed;
use crate::stats::two_sample::{Arm, Difference, Test, effect};
use crate::stats::{Alternative, cuped, post_stratification};

pub(super) fn cuped(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        metric: String,
        control: Option<Sums>,
        treatment: Option<Sums>,
        control_pre: Option<Vec<f64>>,
        control_post: Option<Vec<f64>>,
        treatment_pre: Option<Vec<f64>>,
        treatment_post: Option<Vec<f64>>,
        difference: Difference,
        #[serde(default = "default_alpha")]
        alpha: f64,
    }
    #[derive(Clone, Copy, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sums {
        n: f64,
        sum: f64,
        sum_squares: f64,
        pre_sum: f64,
        pre_sum_squares: f64,
        post_pre_sum_products: f64,
    }
    let of =
        |sums: Option<Sums>, post: Option<Vec<f64>>, pre: Option<Vec<f64>>| match (sums, post, pre)
        {
            (Some(sums), None, None) => {
                let products = sums.post_pre_sum_products;
                Ok(moments(
                    sums.n,
                    [sums.sum, sums.pre_sum],
                    [[sums.sum_squares, products], [products, sums.pre_sum_squares]],
                ))
            }
            (None, Some(post), Some(pre)) if post.len() == pre.len() => {
                let mut moments = Moments::default();
                post.into_iter().zip(pre).for_each(|(post, pre)| moments.push([post, pre]));
                Ok(moments)
            }
            _ => Err(StatsError::input("an arm is its sums, or as many values before as after")),
        };
    let input: Input = read(input)?;
    if input.metric != "mean" {
        return Err(StatsError::input(
            "`cuped` adjusts a mean; for a ratio there is `cuped_ratio`",
        ));
    }
    let alpha = checked_alpha(input.alpha)?;
    let control = of(input.control, input.control_post, input.control_pre)?;
    let treatment = of(input.treatment, input.treatment_post, input.treatment_pre)?;
    let adjusted = cuped::mean(&control, &treatment, input.difference)?;
    let error_squared = |control: Arm, treatment: Arm| {
        control.variance / control.n + treatment.variance / treatment.n
    };
    let plain = error_squared(control.arm(0)?, treatment.arm(0)?);
    let left = error_squared(adjusted.control, adjusted.treatment);
    let found = adjusted.effect.test(Test::Welch, alpha, Alternative::TwoSided);
    let mut result = comparison(&found);
    result["theta"] = json!(adjusted.theta);
    result["control_adjusted_mean"] = json!(adjusted.control.mean);
    result["treatment_adjusted_mean"] = json!(adjusted.treatment.mean);
    result["control_adjusted_variance"] = json!(adjusted.control.variance);
    result["treatment_adjusted_variance"] = json!(adjusted.treatment.variance);
    result["variance_reduction"] = json!(1.0 - left / plain);
    if input.difference == Difference::Relative {
        // What gbstats 0.8.0 says, for comparing with it: adjusted variances in the plain formula.
        let (c, t) = (adjusted.control, adjusted.treatment);
        let (yc, yt) = (control.mean[0], treatment.mean[0]);
        let squared = t.variance / (t.n * yc * yc) + c.variance * yt * yt / (c.n * yc.powi(4));
        result["standard_error_gbstats_0_8"] = json!(squared.sqrt());
    }
    Ok(result)
}

pub(super) fn cuped_ratio(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        metric: String,
        control: Sums,
        treatment: Sums,
        difference: Difference,
        #[serde(default = "default_alpha")]
        alpha: f64,
    }
    #[derive(Clone, Copy, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sums {
        n: f64,
        num_sum: f64,
        den_sum: f64,
        pre_num_sum: f64,
        pre_den_sum: f64,
        products: Products,
    }
    #[derive(Clone, Copy, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Products {
        #[serde(rename = "num*num")]
        nn: f64,
        #[serde(rename = "num*den")]
        nd: f64,
        #[serde(rename = "num*pre_num")]
        np: f64,
        #[serde(rename = "num*pre_den")]
        nq: f64,
        #[serde(rename = "den*den")]
        dd: f64,
        #[serde(rename = "den*pre_num")]
        dp: f64,
        #[serde(rename = "den*pre_den")]
        dq: f64,
        #[serde(rename = "pre_num*pre_num")]
        pp: f64,
        #[serde(rename = "pre_num*pre_den")]
        pq: f64,
        #[serde(rename = "pre_den*pre_den")]
        qq: f64,
    }
    let of = |sums: Sums| {
        let Products { nn, nd, np, nq, dd, dp, dq, pp, pq, qq } = sums.products;
        moments(
            sums.n,
            [sums.num_sum, sums.den_sum, sums.pre_num_sum, sums.pre_den_sum],
            [[nn, nd, np, nq], [nd, dd, dp, dq], [np, dp, pp, pq], [nq, dq, pq, qq]],
        )
    };
    let input: Input = read(input)?;
    if input.metric != "ratio" {
        return Err(StatsError::input(
            "`cuped_ratio` adjusts a ratio; for a mean there is `cuped`",
        ));
    }
    let alpha = checked_alpha(input.alpha)?;
    let adjusted = cuped::ratio(&of(input.control), &of(input.treatment), input.difference)?;
    let mut result = comparison(&adjusted.effect.test(Test::Welch, alpha, Alternative::TwoSided));
    result["theta"] = json!(adjusted.theta);
    result["control_adjusted"] = json!(adjusted.control.mean);
    result["treatment_adjusted"] = json!(adjusted.treatment.mean);
    Ok(result)
}

/// `{metric, strata: [{control, treatment}], difference, alpha}`.
pub(super) fn post_stratify(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        metric: String,
        strata: Vec<Stratum>,
        difference: Difference,
        #[serde(default = "default_alpha")]
        alpha: f64,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Stratum {
        control: Value,
        treatment: Value,
    }
    let input: Input = read(input)?;
    let alpha = checked_alpha(input.alpha)?;
    let both = |stratum: &Stratum| {
        Ok((arm(&input.metric, &stratum.control)?, arm(&input.metric, &stratum.treatment)?))
    };
    let strata: Vec<(Arm, Arm)> = input.strata.iter().map(both).collect::<Result<_, _>>()?;
    let found = post_stratification::compare(&strata, input.difference)?;
    Ok(comparison(&found.test(Test::Welch, alpha, Alternative::TwoSided)))
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Quantile {
    n: f64,
    n_star: f64,
    nu: f64,
    quantile: f64,
    quantile_lower: f64,
    quantile_upper: f64,
}

impl Quantile {
    fn observed(&self) -> Observed {
        Observed {
            n: self.n,
            n_star: self.n_star,
            nu: self.nu,
            value: self.quantile,
            lower: self.quantile_lower,
            upper: self.quantile_upper,
        }
    }
}

pub(super) fn quantile_two_sample(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        control: Quantile,
        treatment: Quantile,
        difference: Difference,
        #[serde(default = "default_alpha")]
        alpha: f64,
    }
    let input: Input = read(input)?;
    let alpha = checked_alpha(input.alpha)?;
    let (control, treatment) = (input.control.observed().arm()?, input.treatment.observed().arm()?);
    let found = effect(control, treatment, input.difference)?;
    let mut result = comparison(&found.test(Test::Welch, alpha, Alternative::TwoSided));
    result["control_variance"] = json!(control.variance);
    result["treatment_variance"] = json!(treatment.variance);
    Ok(result)
}

pub(super) fn quantile_clustered_variance(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        n: f64,
        n_star: f64,
        nu: f64,
        quantile: f64,
        quantile_lower: f64,
        quantile_upper: f64,
        clusters: f64,
        main_sum: f64,
        main_sum_squares: f64,
        denominator_sum: f64,
        denominator_sum_squares: f64,
        main_denominator_sum_product: f64,
    }
    let i: Input = read(input)?;
    let quantile = Quantile {
        n: i.n,
        n_star: i.n_star,
        nu: i.nu,
        quantile: i.quantile,
        quantile_lower: i.quantile_lower,
        quantile_upper: i.quantile_upper,
    };
    let products = i.main_denominator_sum_product;
    let people = moments(
        i.clusters,
        [i.main_sum, i.denominator_sum],
        [[i.main_sum_squares, products], [products, i.denominator_sum_squares]],
    );
    let observed = quantile.observed();
    let (arm, cluster_variance) = observed.clustered_arm(&people)?;
    Ok(json!({ "variance": arm.variance, "variance_iid": observed.arm()?.variance,
        "cluster_variance": cluster_variance }))
}

pub(super) fn non_inferiority_z(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        metric: String,
        control: Value,
        treatment: Value,
        relative_margin: f64,
        preferred_direction: Preferred,
        #[serde(default = "default_alpha")]
        alpha: f64,
    }
    let input: Input = read(input)?;
    let alpha = checked_alpha(input.alpha)?;
    let control = arm(&input.metric, &input.control)?;
    let treatment = arm(&input.metric, &input.treatment)?;
    let preferred = input.preferred_direction;
    let found = non_inferiority::test(control, treatment, input.relative_margin, preferred, alpha)?;
    let mut result = json!({ "estimate": found.estimate,
        "null_hypothesis": found.null_hypothesis, "standard_error": found.standard_error,
        "p_value": found.p_value, "non_inferior": found.is_non_inferior });
    ends(&mut result, found.interval);
    Ok(result)
}
