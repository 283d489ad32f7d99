//! One timer, on gloo-timers.

use super::Shell;
use crate::tracker::Input;
use gloo_timers::callback::Timeout;
use std::rc::Rc;

/// Rings once after this time, in milliseconds, instead of the alarm set before.
pub fn set(shell: &Rc<Shell>, after_ms: u32) {
    let ringing = shell.clone();
    let timeout = Timeout::new(after_ms, move || ringing.step(Input::Woken));
    shell.alarm.replace(Some(timeout));
}
