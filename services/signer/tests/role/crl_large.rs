//! What CRLs of very many revocations cost others.

use std::{fs::OpenOptions, process::Command, sync::mpsc, thread, time::Duration};

use ca::KeyAlgorithm;
use tokio::sync::oneshot;

use crate::workshop::Workshop;

/// How long others may have to wait on a busy machine.
const OTHERS_MAY_TAKE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_crl_that_takes_long_to_read_keeps_nobody_else_waiting() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let signer = workshop.start("signer").await;
    workshop.crl_after(0).await;
    signer.stop().await;

    // Whoever reads it waits until somebody writes.
    let name = format!("signer/{}.crl", workshop.authority().id());
    let kept = workshop.data_dir("signer").join(name);
    std::fs::remove_file(&kept).unwrap();
    assert!(Command::new("mkfifo").arg(&kept).status().unwrap().success());
    let (read, is_read) = oneshot::channel();
    let (go_on, others) = mpsc::channel();
    let writer = thread::spawn(move || {
        let _pipe = OpenOptions::new().write(true).open(&kept).unwrap();
        read.send(()).unwrap();
        others.recv_timeout(OTHERS_MAY_TAKE)
    });
    let signer = workshop.start("signer").await;
    is_read.await.unwrap();
    // Nobody listens any more if everything stood still until then.
    let _ = go_on.send(());
    writer.join().unwrap().expect("others go on meanwhile");
    signer.kill().await;
}
