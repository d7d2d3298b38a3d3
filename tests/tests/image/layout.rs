//! An OCI image layout, such as `scripts/image` makes of the server under test.

use std::path::{Path, PathBuf};

use acceptance::{run, server_under_test, workspace};
use anyhow::Context as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

/// An image in a directory of its own.
pub(crate) struct Image {
    folder: TempDir,
    /// The digest by which the image is known.
    pub(crate) digest: String,
    /// What a container is started with.
    pub(crate) config: Value,
    layers: Vec<PathBuf>,
}

impl Image {
    pub(crate) async fn build() -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let mut build = Command::new(workspace().join("scripts/image"));
        build.arg(server_under_test()?).arg(folder.path());
        run(build, folder.path()).await?.success()?;
        Self::read(folder)
    }

    /// Reads the layout that is in `oci` of a directory.
    pub(crate) fn read(folder: TempDir) -> anyhow::Result<Self> {
        let oci = folder.path().join("oci");
        let index = read_json(&oci.join("index.json"))?;
        let digest = text(&index, "/manifests/0/digest")?;
        let manifest = read_json(&blob(&oci, &digest))?;
        let config = read_json(&blob(&oci, &text(&manifest, "/config/digest")?))?;
        let layers = manifest["layers"].as_array().context("there are no layers")?;
        let layers: anyhow::Result<_> =
            layers.iter().map(|layer| Ok(blob(&oci, &text(layer, "/digest")?))).collect();
        Ok(Self { digest, config: config["config"].clone(), layers: layers?, folder })
    }

    /// Lays the layers over each other, as a container runtime does.
    pub(crate) async fn unpack(&self) -> anyhow::Result<PathBuf> {
        let root = self.folder.path().join("rootfs");
        std::fs::create_dir(&root)?;
        for layer in &self.layers {
            let mut tar = Command::new("tar");
            tar.arg("-xf").arg(layer).arg("-C").arg(&root);
            run(tar, self.folder.path()).await?.success()?;
        }
        Ok(root)
    }
}

fn blob(oci: &Path, digest: &str) -> PathBuf {
    oci.join("blobs").join(digest.replace(':', "/"))
}

fn read_json(path: &Path) -> anyhow::Result<Value> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

fn text(json: &Value, pointer: &str) -> anyhow::Result<String> {
    let text = json.pointer(pointer).and_then(Value::as_str);
    Ok(text.with_context(|| format!("{pointer} is missing"))?.to_owned())
}
