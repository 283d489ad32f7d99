//! Sums that do not depend on the order of adding.
//!
//! In: `f64` values. Out: columns of whole numbers that add up without rounding, and the sum,
//! rounded once at the end.
//!
//! A sum is one long whole number in units of 2^-128, in digits of 32 bits. Digits are whole
//! numbers far below 2^53, so tables of different threads add them as `f64` without loss. This is
//! what makes a revenue the same on one thread and on eight, and a variance right at any offset:
//! the textbook formula `Σx² − (Σx)²/n` cancels only when its terms were rounded.
//!
//! Invariant: every order of adding and merging gives the same columns after [`ExactSum::columns`]
//! of the merged sum. What lies below 2^-128 of a value is cut off, values beyond 2^250 count as
//! 2^250.
//!
//! Deliberately elsewhere: which values are added (the analyses).

/// Digits of a sum: from 2^-128 up to 2^256.
pub const DIGITS: usize = 12;

/// 2^250.
const LARGEST: f64 = f64::from_bits((1023 + 250) << 52);

/// Values that may be added before digits must hand their carry on: each adds less than 2^32.
const BEFORE_CARRY: u32 = 1 << 30;

/// A sum in the making.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExactSum {
    digits: [i64; DIGITS],
    since_carry: u32,
}

impl PartialEq for ExactSum {
    fn eq(&self, other: &Self) -> bool {
        self.carried() == other.carried()
    }
}

impl ExactSum {
    /// Add a value. Not-a-number adds nothing.
    #[inline]
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        let value = value.clamp(-LARGEST, LARGEST);
        let bits = value.to_bits();
        let exponent_bits = (bits >> 52 & 0x7ff) as i32;
        let fraction = bits & ((1 << 52) - 1);
        // A value is mantissa × 2^exponent.
        let (mut mantissa, mut exponent) = match exponent_bits {
            0 => (fraction, -1074),
            biased => (fraction | 1 << 52, biased - 1075),
        };
        if exponent < -128 {
            mantissa = mantissa.checked_shr((-128 - exponent) as u32).unwrap_or(0);
            exponent = -128;
        }
        let position = (exponent + 128) as usize;
        let wide = u128::from(mantissa) << (position % 32);
        let sign = if value < 0.0 { -1 } else { 1 };
        for (digit, part) in self.digits[position / 32..].iter_mut().zip([0, 32, 64]) {
            *digit += sign * (wide >> part & 0xffff_ffff) as i64;
        }
        self.since_carry += 1;
        if self.since_carry >= BEFORE_CARRY {
            *self = self.carried_sum();
        }
    }

    /// Add the square of a value, exactly.
    pub fn add_square(&mut self, value: f64) {
        self.add_product(value, value);
    }

    /// Add the product of two values, exactly.
    pub fn add_product(&mut self, a: f64, b: f64) {
        let product = a * b;
        self.add(product);
        if product.is_finite() {
            self.add(a.mul_add(b, -product));
        }
    }

    /// Add another sum.
    pub fn merge(&mut self, other: &Self) {
        let other = other.carried();
        *self = self.carried_sum();
        for (digit, more) in self.digits.iter_mut().zip(other) {
            *digit += more;
        }
    }

    /// Its digits for a table: whole numbers below 2^32, the last with the sign.
    pub fn columns(&self) -> [f64; DIGITS] {
        self.carried().map(|digit| digit as f64)
    }

    /// A sum from the added-up columns of a table.
    pub fn from_columns(columns: &[f64]) -> Self {
        let mut sum = Self::default();
        for (digit, column) in sum.digits.iter_mut().zip(columns) {
            *digit = *column as i64;
        }
        sum.carried_sum()
    }

    /// The sum, rounded once.
    pub fn value(&self) -> f64 {
        self.double().high
    }

    /// The sum to 106 bits.
    pub fn double(&self) -> Double {
        let mut digits = self.carried();
        let negative = digits[DIGITS - 1] < 0;
        if negative {
            digits = Self { digits: digits.map(|digit| -digit), since_carry: 0 }.carried();
        }
        let mut sum = Double::default();
        for (index, digit) in digits.iter().enumerate().rev() {
            let scale = f64::from_bits(((1023 - 128 + 32 * index as i64) as u64) << 52);
            sum = sum.plus(Double::new(*digit as f64 * scale));
        }
        if negative { sum.negated() } else { sum }
    }

    fn carried_sum(&self) -> Self {
        Self { digits: self.carried(), since_carry: 0 }
    }

    fn carried(&self) -> [i64; DIGITS] {
        let mut digits = self.digits;
        for index in 0..DIGITS - 1 {
            digits[index + 1] += digits[index] >> 32;
            digits[index] &= 0xffff_ffff;
        }
        digits
    }
}

/// A number of about 106 bits: the unevaluated sum of two `f64`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Double {
    /// The number, rounded.
    pub high: f64,
    /// What rounding left over.
    pub low: f64,
}

impl Double {
    /// An `f64` as it is.
    pub fn new(value: f64) -> Self {
        Self { high: value, low: 0.0 }
    }

    /// Sum (Knuth's two-sum, then renormalised).
    pub fn plus(self, other: Self) -> Self {
        let high = self.high + other.high;
        let back = high - self.high;
        let error = (self.high - (high - back)) + (other.high - back);
        Self::normal(high, error + self.low + other.low)
    }

    /// Difference.
    pub fn minus(self, other: Self) -> Self {
        self.plus(other.negated())
    }

    /// Product (Dekker's two-product by a fused multiply-add).
    pub fn times(self, other: Self) -> Self {
        let high = self.high * other.high;
        let error = self.high.mul_add(other.high, -high);
        Self::normal(high, error + self.high * other.low + self.low * other.high)
    }

    /// Minus this.
    pub fn negated(self) -> Self {
        Self { high: -self.high, low: -self.low }
    }

    fn normal(high: f64, low: f64) -> Self {
        let sum = high + low;
        Self { high: sum, low: low - (sum - high) }
    }
}

/// Sample variance from exact sums, `(Σx² − (Σx)²/n) / (n − 1)`, right at any offset.
///
/// `None` below two values: the spread of one value is not known.
pub fn variance(n: u64, sum: &ExactSum, squares: &ExactSum) -> Option<f64> {
    if n < 2 {
        return None;
    }
    let count = Double::new(n as f64);
    let total = sum.double();
    let spread = count.times(squares.double()).minus(total.times(total));
    Some((spread.high / n as f64 / (n - 1) as f64).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum_of(values: &[f64]) -> ExactSum {
        let mut sum = ExactSum::default();
        values.iter().for_each(|value| sum.add(*value));
        sum
    }

    #[test]
    fn what_cancels_leaves_what_is_left() {
        assert_eq!(sum_of(&[1e30, 1.0, -1e30]).value(), 1.0);
        assert_eq!(sum_of(&[0.1, -0.1]).value(), 0.0);
        assert_eq!(sum_of(&[-0.5, -0.25]).value(), -0.75);
        assert_eq!(sum_of(&[]).value(), 0.0);
    }

    #[test]
    fn ten_tenths_are_rounded_once() {
        // The f64 nearest to 0.1 is a little more than a tenth; ten of them round to 1.
        assert_eq!(sum_of(&[0.1; 10]).value(), 1.0);
    }

    #[test]
    fn a_variance_survives_a_large_offset() {
        let values = [4.0, 7.0, 13.0, 16.0].map(|value| value + 1e9);
        let mut squares = ExactSum::default();
        values.iter().for_each(|value| squares.add_square(*value));
        assert_eq!(variance(4, &sum_of(&values), &squares), Some(30.0));
    }

    #[test]
    fn values_nobody_can_add_do_no_harm() {
        assert_eq!(sum_of(&[f64::NAN, 2.0]).value(), 2.0);
        assert_eq!(sum_of(&[1e300, -1e300, 2.0]).value(), 2.0);
        assert_eq!(sum_of(&[f64::INFINITY, f64::NEG_INFINITY]).value(), 0.0);
        assert_eq!(sum_of(&[1e-300]).value(), 0.0);
    }

    proptest! {
        #[test]
        fn the_order_of_adding_and_merging_does_not_show(
            values in prop::collection::vec(-1e12f64..1e12, 0..60),
            cut in any::<prop::sample::Index>(),
        ) {
            let whole = sum_of(&values);
            let (left, right) = values.split_at(cut.index(values.len() + 1));
            let reversed: Vec<f64> = right.iter().rev().copied().collect();
            let columns: Vec<f64> = sum_of(&reversed).columns().iter()
                .zip(sum_of(left).columns()).map(|(a, b)| a + b).collect();
            prop_assert_eq!(ExactSum::from_columns(&columns), whole);
            let mut merged = sum_of(&reversed);
            merged.merge(&sum_of(left));
            prop_assert_eq!(merged.value(), whole.value());
        }

        #[test]
        fn whole_numbers_add_up_as_whole_numbers(values in prop::collection::vec(-1_000_000i64..1_000_000, 0..60)) {
            let floats: Vec<f64> = values.iter().map(|value| *value as f64).collect();
            prop_assert_eq!(sum_of(&floats).value(), values.iter().sum::<i64>() as f64);
        }
    }
}
