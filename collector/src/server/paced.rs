//! A request body that must keep moving.
//!
//! After a time of grace the body has to have arrived at no less than a minimum average rate. One
//! byte per second would otherwise hold a connection, and the memory behind it, for days.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// How fast a body must be.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Nothing is asked before this.
    pub grace: Duration,
    /// Average since the first look at the body.
    pub min_bytes_per_s: u64,
}

/// The body did not keep its pace.
#[derive(Debug, thiserror::Error)]
#[error("the request body came too slowly")]
pub struct TooSlow;

/// A body held to a pace.
pub struct PacedBody<B> {
    inner: B,
    pace: Pace,
    started: Option<Instant>,
    received_bytes: u64,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<B> PacedBody<B> {
    /// The time starts when the body is first asked for.
    pub fn new(inner: B, pace: Pace) -> Self {
        Self { inner, pace, started: None, received_bytes: 0, deadline: None }
    }

    /// When the bytes so far would be too few.
    fn due(&self, started: Instant) -> Instant {
        let earned_ms = self.received_bytes.saturating_mul(1000) / self.pace.min_bytes_per_s.max(1);
        // A year is for ever here, and added to an instant it cannot overflow.
        let earned = Duration::from_millis(earned_ms.min(31_536_000_000));
        started + self.pace.grace + earned
    }
}

impl<B> Body for PacedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<axum::BoxError>,
{
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.deadline = None;
            return Poll::Ready(frame.map(|frame| {
                let frame = frame.map_err(Into::into)?;
                if let Some(data) = frame.data_ref() {
                    self.received_bytes += data.len() as u64;
                }
                Ok(frame)
            }));
        }
        // The timer is only made when a body has to be waited for: most arrive with their headers.
        let started = *self.started.get_or_insert_with(Instant::now);
        let due = self.due(started);
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Some(Err(Box::new(TooSlow))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::collections::VecDeque;

    /// Gives each chunk after its pause.
    struct Drip {
        chunks: VecDeque<(u64, usize)>,
        pause: Option<Pin<Box<Sleep>>>,
    }

    impl Body for Drip {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            let Some(&(pause_ms, bytes)) = self.chunks.front() else { return Poll::Ready(None) };
            let pause = self.pause.get_or_insert_with(|| {
                Box::pin(tokio::time::sleep(Duration::from_millis(pause_ms)))
            });
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
            self.chunks.pop_front();
            Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'x'; bytes])))))
        }
    }

    /// With a grace of 100 ms, then at least one byte per millisecond.
    async fn receive(chunks: &[(u64, usize)]) -> Result<usize, String> {
        let pace = Pace { grace: Duration::from_millis(100), min_bytes_per_s: 1000 };
        let drip = Drip { chunks: chunks.iter().copied().collect(), pause: None };
        let body = PacedBody::new(drip, pace).collect().await;
        body.map(|body| body.to_bytes().len()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_body_that_keeps_its_pace_arrives() {
        assert_eq!(receive(&[(10, 1_000); 20]).await, Ok(20_000));
    }

    #[tokio::test]
    async fn a_body_that_drips_is_cut_after_the_grace() {
        let began = Instant::now();
        let error = receive(&[(10, 1); 1_000]).await.unwrap_err();
        assert_eq!(error, "the request body came too slowly");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn bytes_that_come_fast_earn_time_for_a_pause() {
        assert_eq!(receive(&[(0, 5_000), (300, 10)]).await, Ok(5_010));
    }
}
