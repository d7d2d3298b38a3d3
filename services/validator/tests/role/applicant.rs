//! A web server that serves key authorizations, or nothing.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};

/// The second half of every key authorization.
pub(crate) const THUMBPRINT: &str = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI";

/// A running server; stops when dropped.
pub(crate) struct Applicant {
    pub(crate) port: u16,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Applicant {
    /// Serves the right key authorization for every token but `wrong`, for `late` from the second time on, and nothing for
    /// `hanging`.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut hanging = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let before = count.fetch_add(1, Ordering::Relaxed);
                let mut head = [0; 2048];
                let length = stream.read(&mut head).await.unwrap();
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                let token = head.split([' ', '/']).nth(4).unwrap_or_default();
                if token == "hanging" {
                    hanging.push(stream);
                    continue;
                }
                let body = match token {
                    "wrong" => "nonsense".to_owned(),
                    "late" if before == 0 => "nonsense".to_owned(),
                    token => format!("{token}.{THUMBPRINT}"),
                };
                let length = body.len();
                let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
                stream.write_all(response.as_bytes()).await.unwrap();
            }
        });
        Self { port, asked, task }
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Applicant {
    fn drop(&mut self) {
        self.task.abort();
    }
}
