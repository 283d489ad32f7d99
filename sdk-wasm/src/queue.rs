//! Events that wait to be acknowledged: bounded, in order, each with the id it keeps for ever.
//!
//! An event leaves only when a receipt settled it, or with a reason. When full, the oldest event
//! that is not on its way makes room.

use std::collections::VecDeque;
use std::rc::Rc;
use tallymark_protocol::limits::{SDK_QUEUE_BYTES_MAX, SDK_QUEUE_EVENTS_MAX};

/// One event, encoded once.
pub struct Queued {
    /// Its JSON.
    pub json: String,
    /// The page it happened on, as JSON; equal pointers are equal pages.
    pub context: Rc<str>,
    /// Monotonic time it came, milliseconds.
    pub since_ms: f64,
    /// The request it is part of right now.
    pub request: Option<u32>,
    /// Whether it was part of one before.
    pub tried: bool,
}

/// The waiting events, oldest first.
#[derive(Default)]
pub struct Queue {
    events: VecDeque<Queued>,
    bytes: usize,
}

/// A batch cut from the queue.
pub struct Cut {
    /// The events' JSON, joined by commas.
    pub events: String,
    /// How many.
    pub count: usize,
    /// The page they happened on.
    pub context: Rc<str>,
}

impl Queue {
    /// Adds an event; gives how many older ones had to go.
    pub fn push(&mut self, event: Queued) -> u32 {
        self.bytes += event.json.len();
        self.events.push_back(event);
        let mut dropped = 0;
        while self.events.len() > SDK_QUEUE_EVENTS_MAX || self.bytes > SDK_QUEUE_BYTES_MAX {
            let Some(at) = self.events.iter().position(|event| event.request.is_none()) else {
                break;
            };
            if let Some(gone) = self.events.remove(at) {
                self.bytes -= gone.json.len();
            }
            dropped += 1;
        }
        dropped
    }

    /// The number of events, on their way or not.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether the newest event was never sent.
    pub fn has_new(&self) -> bool {
        self.events.back().is_some_and(|event| !event.tried)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Events and bytes that are not on their way, and since when the oldest of them waits.
    pub fn waiting(&self) -> Option<(usize, usize, f64)> {
        let mut idle = self.events.iter().filter(|event| event.request.is_none());
        let first = idle.next()?;
        let more = idle.fold((1, first.json.len()), |(n, b), e| (n + 1, b + e.json.len()));
        Some((more.0, more.1, first.since_ms))
    }

    /// Cuts the oldest waiting events of one page into a batch for `request`: at most `count_max`,
    /// and at most `bytes_max` bytes with their context unless the first one alone is longer.
    pub fn cut_oldest(&mut self, request: u32, count_max: usize, bytes_max: usize) -> Option<Cut> {
        let first = self.events.iter().position(|event| event.request.is_none())?;
        let context = self.events[first].context.clone();
        let mut cut = Cut { events: String::new(), count: 0, context };
        for event in self.events.iter_mut().skip(first) {
            let fits = cut.events.len() + event.json.len() + cut.context.len() < bytes_max;
            let same_page = Rc::ptr_eq(&event.context, &cut.context);
            if event.request.is_some()
                || !same_page
                || cut.count == count_max
                || (cut.count > 0 && !fits)
            {
                break;
            }
            cut.take(event, request);
        }
        Some(cut)
    }

    /// Cuts the newest waiting events of one page that fit into `bytes_max` bytes with their
    /// context; `None` when not even the newest does. For the moment a page is hidden.
    pub fn cut_newest(&mut self, request: u32, count_max: usize, bytes_max: usize) -> Option<Cut> {
        let last = self.events.iter().rposition(|event| event.request.is_none())?;
        let context = self.events[last].context.clone();
        let (mut from, mut bytes, mut count) = (last + 1, context.len(), 0);
        while from > 0 && count < count_max {
            let event = &self.events[from - 1];
            bytes += event.json.len() + 1;
            let same_page = Rc::ptr_eq(&event.context, &context);
            if event.request.is_some() || !same_page || bytes > bytes_max {
                break;
            }
            from -= 1;
            count += 1;
        }
        if count == 0 {
            return None;
        }
        let mut cut = Cut { events: String::new(), count: 0, context };
        for event in self.events.range_mut(from..=last) {
            cut.take(event, request);
        }
        Some(cut)
    }

    /// The events of `request` are settled: gone.
    pub fn settle(&mut self, request: u32) -> usize {
        let before = self.events.len();
        self.events.retain(|event| event.request != Some(request));
        self.bytes = self.events.iter().map(|event| event.json.len()).sum();
        before - self.events.len()
    }

    /// The events of `request` wait again.
    pub fn release(&mut self, request: u32) {
        for event in self.events.iter_mut().filter(|event| event.request == Some(request)) {
            event.request = None;
        }
    }

    /// Empties the queue; gives how many events were in it.
    pub fn clear(&mut self) -> usize {
        let count = self.events.len();
        self.events.clear();
        self.bytes = 0;
        count
    }
}

impl Cut {
    fn take(&mut self, event: &mut Queued, request: u32) {
        if self.count > 0 {
            self.events.push(',');
        }
        self.events.push_str(&event.json);
        self.count += 1;
        event.request = Some(request);
        event.tried = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(n: u32, bytes: usize, context: &Rc<str>) -> Queued {
        let json = "x".repeat(bytes);
        Queued {
            json,
            context: context.clone(),
            since_ms: f64::from(n),
            request: None,
            tried: false,
        }
    }

    fn filled(events: &[usize]) -> (Queue, Rc<str>) {
        let context: Rc<str> = "{}".into();
        let mut queue = Queue::default();
        for (n, bytes) in events.iter().enumerate() {
            queue.push(event(n as u32, *bytes, &context));
        }
        (queue, context)
    }

    #[test]
    fn the_oldest_makes_room_and_is_counted() {
        let (mut queue, context) = filled(&[10; SDK_QUEUE_EVENTS_MAX]);
        assert_eq!(queue.push(event(5_000, 10, &context)), 1);
        assert_eq!(queue.len(), SDK_QUEUE_EVENTS_MAX);
        assert_eq!(queue.waiting().map(|(_, _, since)| since), Some(1.0), "event 0 is gone");
    }

    #[test]
    fn events_on_their_way_do_not_make_room() {
        let (mut queue, context) = filled(&[10; SDK_QUEUE_EVENTS_MAX]);
        assert!(queue.cut_oldest(1, 5, 1_000).is_some());
        assert_eq!(queue.push(event(5_000, 10, &context)), 1);
        assert_eq!(queue.settle(1), 5);
    }

    #[test]
    fn too_many_bytes_make_room_as_too_many_events_do() {
        let (mut queue, context) = filled(&[SDK_QUEUE_BYTES_MAX / 4; 4]);
        assert_eq!(queue.push(event(9, SDK_QUEUE_BYTES_MAX / 4, &context)), 1);
        assert_eq!(queue.len(), 4);
    }

    #[test]
    fn a_batch_holds_events_of_one_page() {
        let (mut queue, _) = filled(&[1, 1]);
        let other: Rc<str> = "{\"url\":1}".into();
        queue.push(event(2, 1, &other));
        let cut = queue.cut_oldest(1, 100, 1_000).expect("three wait");
        assert_eq!((cut.count, cut.events.as_str()), (2, "x,x"));
        let cut = queue.cut_oldest(2, 100, 1_000).expect("one waits");
        assert_eq!((cut.count, &*cut.context), (1, "{\"url\":1}"));
        assert!(queue.cut_oldest(3, 100, 1_000).is_none());
    }

    #[test]
    fn a_batch_is_cut_at_its_limits_but_never_empty() {
        let (mut queue, _) = filled(&[50, 50, 50]);
        assert_eq!(queue.cut_oldest(1, 2, 1_000).map(|cut| cut.count), Some(2), "by count");
        queue.release(1);
        assert_eq!(queue.cut_oldest(2, 9, 104).map(|cut| cut.count), Some(2), "by bytes");
        queue.release(2);
        assert_eq!(queue.cut_oldest(3, 9, 10).map(|cut| cut.count), Some(1), "one alone");
    }

    #[test]
    fn when_hidden_the_newest_go_first_in_their_order() {
        let context: Rc<str> = "{}".into();
        let mut queue = Queue::default();
        for (n, json) in ["a", "b", "c", "d"].iter().enumerate() {
            queue.push(Queued { json: (*json).to_owned(), ..event(n as u32, 0, &context) });
        }
        let cut = queue.cut_newest(1, 100, 7).expect("four wait");
        assert_eq!((cut.count, cut.events.as_str()), (2, "c,d"));
        let cut = queue.cut_newest(2, 100, 7).expect("two wait");
        assert_eq!(cut.events, "a,b");
        assert!(queue.cut_newest(3, 100, 7).is_none());
        queue.release(1);
        assert!(queue.cut_newest(4, 100, 3).is_none(), "the newest alone is too long");
    }

    proptest! {
        /// Whatever is cut, released and settled: each event is settled once, none is lost.
        #[test]
        fn every_event_is_settled_exactly_once(
            sizes in prop::collection::vec(1usize..60, 1..40),
            moves in prop::collection::vec((1usize..10, 1usize..200, any::<bool>(), any::<bool>()), 0..60),
        ) {
            let (mut queue, _) = filled(&sizes);
            let mut settled = 0;
            for (request, (count, bytes, newest, ok)) in moves.into_iter().enumerate() {
                let request = request as u32;
                let cut = if newest {
                    queue.cut_newest(request, count, bytes)
                } else {
                    queue.cut_oldest(request, count, bytes)
                };
                let Some(cut) = cut else { continue };
                prop_assert!(cut.count > 0 && cut.count <= count);
                if ok {
                    prop_assert_eq!(queue.settle(request), cut.count);
                    settled += cut.count;
                } else {
                    queue.release(request);
                }
            }
            prop_assert_eq!(settled + queue.len(), sizes.len());
        }
    }
}
