//! A future that runs to completion though it is dropped.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;
use tracing::Instrument as _;

/// A future that, once it was polled, goes on as a task of its own when it is dropped, as when a client hangs up. While somebody
/// awaits it, it costs no more than any other.
pub(crate) struct ToCompletion<T: Send + 'static> {
    work: Option<Work<T>>,
    is_begun: bool,
}

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<T: Send + 'static> ToCompletion<T> {
    pub(crate) fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(work)), is_begun: false }
    }
}

impl<T: Send + 'static> Future for ToCompletion<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        self.is_begun = true;
        // Where it panics it is not put back, because it would panic again.
        let Some(mut work) = self.work.take() else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for ToCompletion<T> {
    fn drop(&mut self) {
        let Some(work) = self.work.take().filter(|_| self.is_begun) else { return };
        // Without a runtime everything ends.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move { drop(work.await) }.in_current_span());
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;

    /// Work that says when it is done, which is when it was told to go on.
    fn work() -> (oneshot::Sender<()>, oneshot::Receiver<()>, ToCompletion<()>) {
        let ((go_on, told), (done, is_done)) = (oneshot::channel(), oneshot::channel());
        let work = async move {
            told.await.unwrap();
            done.send(()).unwrap();
        };
        (go_on, is_done, ToCompletion::new(work))
    }

    #[tokio::test]
    async fn what_is_begun_is_finished_whether_somebody_waits_or_not() {
        for leaves in [true, false] {
            let (go_on, is_done, mut running) = work();
            assert!((&mut running).now_or_never().is_none());
            if leaves {
                drop(running);
                go_on.send(()).unwrap();
            } else {
                go_on.send(()).unwrap();
                running.await;
            }
            is_done.await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_not_begun_is_not_done() {
        let (go_on, is_done, running) = work();
        drop(running);
        assert!(go_on.send(()).is_err());
        assert!(is_done.await.is_err());
    }

    #[tokio::test]
    #[should_panic = "once"]
    async fn work_that_panics_does_so_once() {
        ToCompletion::new(async { panic!("once") }).await
    }
}
