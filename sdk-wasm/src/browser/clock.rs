//! The browser's two clocks.

use crate::tracker::Moment;

/// Now, on both.
pub fn now() -> Moment {
    let performance = web_sys::window().and_then(|window| window.performance());
    Moment {
        wall_ms: js_sys::Date::now() as u64,
        mono_ms: performance.map_or(0.0, |clock| clock.now()),
    }
}
