//! What holds of several questions at once, beside `laws`.

mod weeks;
