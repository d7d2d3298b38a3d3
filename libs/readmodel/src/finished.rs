//! Work that is finished though nobody waits for it any more.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;
use tracing::Instrument as _;

/// Work that goes on as a task of its own once whoever waits for it leaves, as with a client that hangs up. While somebody
/// waits it costs no more than any other. Work that was not begun is not done.
pub(crate) struct Finished<T: Send + 'static> {
    work: Option<Work<T>>,
    is_begun: bool,
}

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<T: Send + 'static> Finished<T> {
    pub(crate) fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(work)), is_begun: false }
    }
}

impl<T: Send + 'static> Future for Finished<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        self.is_begun = true;
        // Not put back where it panics, which it would do again.
        let Some(mut work) = self.work.take() else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Finished<T> {
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
    fn work() -> (oneshot::Sender<()>, oneshot::Receiver<()>, Finished<()>) {
        let ((go_on, told), (done, is_done)) = (oneshot::channel(), oneshot::channel());
        let work = async move {
            told.await.unwrap();
            done.send(()).unwrap();
        };
        (go_on, is_done, Finished::new(work))
    }

    #[tokio::test]
    async fn what_is_begun_is_finished_whether_somebody_waits_or_not() {
        for leaves in [true, false] {
            let (go_on, is_done, mut finished) = work();
            assert!((&mut finished).now_or_never().is_none());
            if leaves {
                drop(finished);
                go_on.send(()).unwrap();
            } else {
                go_on.send(()).unwrap();
                finished.await;
            }
            is_done.await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_not_begun_is_not_done() {
        let (go_on, is_done, finished) = work();
        drop(finished);
        assert!(go_on.send(()).is_err());
        assert!(is_done.await.is_err());
    }

    #[tokio::test]
    #[should_panic = "once"]
    async fn work_that_panics_does_so_once() {
        Finished::new(async { panic!("once") }).await
    }
}
