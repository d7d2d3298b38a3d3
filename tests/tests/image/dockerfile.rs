//! The Dockerfile: what it builds is what `make image` builds. No registry is asked: in the place of the official image of
//! Rust is one that has this machine's programs, and a cargo that hands over the server that is built already.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use acceptance::{run, server_under_test, tool, workspace};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{layout::Image, running::is_root};

const BASE: &str = "docker.io/library/rust:1-bookworm";
const CARGO: &str = "#!/bin/sh
[ \"$*\" = 'build --release --locked -p certmill' ] || exit 2
mkdir -p target/release && cp /stand-in/certmill target/release/certmill
";
/// What of this machine the stand-in shows.
const SHOWN: [&str; 3] = ["/usr", "/etc/ssl", "/etc/ld.so.cache"];

async fn buildah(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(tool("buildah")?);
    command.args(["--storage-driver", "vfs", "--root"]).arg(folder.join("storage"));
    command.arg("--runroot").arg(folder.join("run")).args(arguments);
    Ok(run(command, folder).await?.success()?.trim().to_owned())
}

/// Makes the stand-in for the image of Rust.
async fn make_base(folder: &Path) -> anyhow::Result<()> {
    let root = folder.join("base");
    for directory in ["stand-in", "usr", "etc/ssl", "tmp", "proc", "sys", "dev"] {
        std::fs::create_dir_all(root.join(directory))?;
    }
    for link in ["bin", "sbin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{link}"), root.join(link))?;
    }
    let cargo = root.join("stand-in/cargo");
    std::fs::write(&cargo, CARGO)?;
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755))?;
    std::fs::copy(server_under_test()?, root.join("stand-in/certmill"))?;
    let name = buildah(folder, &["from", "scratch"]).await?;
    let root = root.display().to_string();
    buildah(folder, &["copy", "-q", &name, &root, "/"]).await?;
    buildah(folder, &["config", "--env", "PATH=/stand-in:/usr/bin:/bin", &name]).await?;
    buildah(folder, &["commit", "-q", &name, BASE]).await.map(drop)
}

async fn build() -> anyhow::Result<Image> {
    let folder = TempDir::new()?;
    make_base(folder.path()).await?;
    let shown = SHOWN.map(|path| format!("--volume={path}:{path}:ro"));
    let mut arguments = vec!["bud", "-q", "--isolation", "chroot", "--pull=never", "-t", "built"];
    arguments.extend(shown.iter().map(String::as_str));
    let context = workspace().display().to_string();
    arguments.push(&context);
    buildah(folder.path(), &arguments).await?;
    let oci = format!("oci:{}:certmill", folder.path().join("oci").display());
    buildah(folder.path(), &["push", "-q", "built", &oci]).await?;
    Image::read(folder)
}

/// Every file with its mode, its owner and what is in it.
async fn contents(root: &Path) -> anyhow::Result<String> {
    let script =
        "find . -printf '%y %m %U:%G %p -> %l\\n' | sort; find . -type f | sort | xargs sha256sum";
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("cd \"$0\" && {{ {script}; }}")).arg(root);
    run(command, root).await?.success()
}

#[tokio::test]
async fn the_dockerfile_makes_the_same_as_make_image() -> anyhow::Result<()> {
    if !is_root().await? {
        eprintln!("skipped: it needs root to run the Dockerfile's commands in a root of their own");
        return Ok(());
    }
    let (built, ours) = tokio::try_join!(build(), Image::build())?;
    for key in ["User", "ExposedPorts", "Entrypoint", "Cmd", "Volumes", "WorkingDir"] {
        assert_eq!(built.config[key], ours.config[key], "{key}");
    }
    let (built, ours) = (built.unpack().await?, ours.unpack().await?);
    assert_eq!(contents(&built).await?, contents(&ours).await?);
    Ok(())
}
