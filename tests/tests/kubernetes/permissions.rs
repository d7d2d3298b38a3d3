//! Least privilege at NATS and Redis: with what `certmill ca nats-permissions` grants, and no more, each role does its work.

use std::{path::Path, time::Duration};

use acceptance::{
    Certmill, ChallengeServer, Process, RawClient, Setup, eventually, free_port, run, tool, verify,
};
use anyhow::{Context as _, ensure};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
};

use crate::chart::{directory, renew, yaml};

const ROLES: [&str; 4] = ["signer", "validator", "projector", "api"];
const START_LIMIT: Duration = Duration::from_secs(20);
const ORDER_SHARDS: u8 = 2;
/// Each part of the log and of the read model has work to do.
const PROFILE: &str =
    r#"[{name = "default", pre_authorization_allowed = true, single_active_certificate = true}]"#;

/// NATS and Redis with a user for each role, whose password is its name.
struct Stores {
    nats: u16,
    redis: u16,
    files: TempDir,
    _servers: [Process; 2],
}

impl Stores {
    /// Starts NATS, and Redis or Valkey by the name of its program.
    async fn start(program: &str) -> anyhow::Result<Self> {
        let (files, nats, redis) = (TempDir::new()?, free_port()?, free_port()?);
        let servers = [
            start_nats(files.path(), nats).await?,
            start_redis(files.path(), (program, redis)).await?,
        ];
        for port in [nats, redis] {
            eventually("a server listens", START_LIMIT, async || {
                Ok(TcpStream::connect(("127.0.0.1", port)).await.ok().map(drop))
            })
            .await?;
        }
        Ok(Self { nats, redis, files, _servers: servers })
    }

    fn setup(&self, role: &'static str) -> Setup {
        let (nats, redis) = (self.nats, self.redis);
        Setup::embedded()
            .role(role)
            .set("event_log.kind", "jetstream")
            .set("event_log.servers", json!([format!("nats://{role}:{role}@127.0.0.1:{nats}")]))
            .set("event_log.replicas", 1)
            .set("event_log.allow_unsafe_dev", true)
            .set("event_log.order_shards", ORDER_SHARDS)
            .set("profile", PROFILE)
            .set("redis.url", format!("redis://certmill-{role}:{role}@127.0.0.1:{redis}/0"))
    }

    /// What NATS says when a role publishes.
    async fn publish(&self, role: &str, subject: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.nats)).await?;
        let user = json!({ "user": role, "pass": role, "verbose": false, "protocol": 1 });
        stream
            .write_all(format!("CONNECT {user}\r\nPUB {subject} 0\r\n\r\nPING\r\n").as_bytes())
            .await?;
        converse(&mut stream, "PONG").await
    }

    /// What Redis says when a role sends a command.
    async fn redis(&self, role: &str, command: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.redis)).await?;
        let both = format!("AUTH certmill-{role} {role}\r\n{command}\r\nPING\r\n");
        stream.write_all(both.as_bytes()).await?;
        converse(&mut stream, "PONG").await
    }
}

/// Reads until the last answer.
pub(crate) async fn converse(stream: &mut TcpStream, last: &str) -> anyhow::Result<String> {
    let (mut said, mut buffer) = (String::new(), [0; 4096]);
    while !said.contains(last) {
        let read = tokio::time::timeout(START_LIMIT, stream.read(&mut buffer)).await??;
        ensure!(read > 0, "the server ended the connection: {said}");
        said.push_str(&String::from_utf8_lossy(buffer.get(..read).context("what was read")?));
    }
    Ok(said)
}

/// What the command prints for a configuration.
pub(crate) async fn printed(order_shards: u8, arguments: &[&str]) -> anyhow::Result<String> {
    let server = Setup::embedded().set("event_log.order_shards", order_shards).prepare("print")?;
    let arguments = [&["ca", "nats-permissions"], arguments].concat();
    server.operate(&arguments).await?.success()
}

async fn start_nats(files: &Path, port: u16) -> anyhow::Result<Process> {
    std::fs::write(files.join("nats-permissions.conf"), printed(ORDER_SHARDS, &[]).await?)?;
    let users: String = ROLES
        .iter()
        .chain(&["operator"])
        .map(|role| {
            format!("{{ user: {role}, password: {role}, permissions: $certmill_{role} }}\n")
        })
        .collect();
    let store = files.join("nats");
    let config = format!(
        "include ./nats-permissions.conf\nlisten: \"127.0.0.1:{port}\"\njetstream {{ store_dir: {store:?} }}\n\
         accounts {{ CERTMILL {{ jetstream: enabled, users: [ {users} ] }} }}\n"
    );
    std::fs::write(files.join("nats.conf"), config)?;
    let mut command = Command::new(tool("nats-server")?);
    command.arg("-c").arg(files.join("nats.conf"));
    Process::start("nats-server", command, files)
}

async fn start_redis(files: &Path, (program, port): (&str, u16)) -> anyhow::Result<Process> {
    let mut users = printed(ORDER_SHARDS, &["--redis"]).await?;
    for role in ROLES.iter().chain(&["operator"]) {
        users = users.replace(&format!(">{}_PASSWORD", role.to_uppercase()), &format!(">{role}"));
    }
    std::fs::write(files.join("users.acl"), users)?;
    let mut command = Command::new(tool(program)?);
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--maxmemory-policy", "noeviction", "--aclfile"])
        .arg(files.join("users.acl"));
    Process::start(program, command, files)
}

/// Makes the certificate of the api's listener.
async fn certificate(files: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(tool("openssl")?);
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ]);
    command.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
    command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    command.args(["-keyout", "tls.key", "-out", "tls.crt"]);
    run(command, files).await?.success().map(drop)
}

#[tokio::test]
async fn each_role_works_with_its_own_permissions_and_may_do_nothing_else() -> anyhow::Result<()> {
    work_with_permissions(&Stores::start("redis-server").await?).await
}

#[tokio::test]
async fn each_role_works_with_its_own_permissions_at_valkey_too() -> anyhow::Result<()> {
    work_with_permissions(&Stores::start("valkey-server").await?).await
}

async fn work_with_permissions(stores: &Stores) -> anyhow::Result<()> {
    let files = stores.files.path();
    certificate(files).await?;
    let web = ChallengeServer::start().await?;
    let mut servers: Vec<Certmill> = Vec::new();
    for role in ROLES {
        let setup = stores
            .setup(role)
            .set("api.tls_certificate", files.join("tls.crt").display())
            .set("api.tls_key", files.join("tls.key").display())
            .set("validation.http01_port", web.port());
        servers.push(setup.start_as(role).await?);
    }
    let [signer, .., api] = servers.as_mut_slice() else { anyhow::bail!("four roles") };
    let client = RawClient::register(&api.directory_url(), &files.join("tls.crt")).await?;
    client.prove_before("permitted.localhost", &web).await?;
    for _ in 0..2 {
        let order = client.place(&["permitted.localhost"]).await?;
        ensure!(order.status() == "ready", "the order does not rely on what was proven before");
        let issued = client.finalize(&order, &["permitted.localhost"]).await?;
        verify(&issued.chain, &signer.root()).await?;
    }
    let other = client.issue(&["other.localhost"], &web).await?;
    let revocation = json!({ "certificate": other.chain.leaf_base64url()? });
    client.post("revokeCert", &revocation).await?.expect(200)?;
    client.post_as_get(&format!("{}/orders", client.account()?)).await?.expect(200)?;
    let operator = stores.setup("operator").prepare("operator")?;
    operator.operate(&["rebuild"]).await?.success()?;
    for command in [["rebuild"].as_slice(), &["account", "deactivate", client.account()?]] {
        let refused = signer.operate(command).await?;
        let told = "the operator's user";
        ensure!(!refused.status.success() && refused.stderr.contains(told), "{}", refused.stderr);
    }
    for server in &mut servers {
        let log = server.process()?.log_tail().to_lowercase();
        for refused in [
            "permissions violation",
            "noperm",
            "no permissions",
            "can't run this command",
            "can't access",
        ] {
            ensure!(!log.contains(refused), "{log}");
        }
    }

    for (role, subject) in [
        ("api", "certmill.ledger.x.00"),
        ("api", "certmill.wake"),
        ("validator", "certmill.ledger.x.00"),
        ("validator", "certmill.account.x"),
        ("validator", "certmill.administration.external-key.x"),
        ("validator", "$JS.API.CONSUMER.CREATE.certmill-orders-02.validator"),
        ("validator", "$JS.API.CONSUMER.MSG.NEXT.certmill-orders-00.signer"),
        ("signer", "certmill.account.x"),
        ("signer", "certmill.administration.external-key.x"),
        ("projector", "certmill.order.00.x"),
        ("projector", "$JS.API.CONSUMER.CREATE.certmill-orders-00.signer"),
        ("projector", "$JS.ACK.certmill-orders-00.signer.1.1.1.1.1"),
    ] {
        let said = stores.publish(role, subject).await?;
        ensure!(said.contains("Permissions Violation"), "{role} may publish to {subject}: {said}");
    }
    for role in ROLES {
        for verb in ["DELETE", "PURGE", "UPDATE", "SNAPSHOT", "RESTORE"] {
            let subject = format!("$JS.API.STREAM.{verb}.certmill-ledger");
            let said = stores.publish(role, &subject).await?;
            ensure!(said.contains("Permissions Violation"), "{role} may {verb} a stream");
        }
        for command in ["FLUSHALL", "CONFIG GET *", "KEYS *", "GET other", "ACL LIST"] {
            let said = stores.redis(role, command).await?;
            ensure!(said.contains("NOPERM"), "{role} may {command}: {said}");
        }
    }
    for (role, command) in [
        ("validator", "GET certmill:certificate:00"),
        ("validator", "SET certmill:account:a b"),
        ("signer", "GET certmill:orders:a"),
        ("projector", "SETBIT certmill:spent:a:b:1 1 1"),
    ] {
        let said = stores.redis(role, command).await?;
        ensure!(said.contains("NOPERM"), "{role} may {command}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_role_that_lacks_rights_at_redis_does_not_start_and_says_which() -> anyhow::Result<()> {
    let stores = Stores::start("redis-server").await?;
    let files = stores.files.path();
    certificate(files).await?;
    let projectors = format!("redis://certmill-projector:projector@127.0.0.1:{}/0", stores.redis);
    let api = stores
        .setup("api")
        .set("api.tls_certificate", files.join("tls.crt").display())
        .set("api.tls_key", files.join("tls.key").display())
        .set(
            "event_log.servers",
            json!([format!("nats://signer:signer@127.0.0.1:{}", stores.nats)]),
        )
        .set("redis.url", projectors);
    let refused = api.prepare("api")?.start_in_vain().await?;
    ensure!(!refused.status.success(), "it started");
    let (told, missing) =
        (refused.stderr, "lacks +getex +setbit +zrangebylex +zrevrangebylex ~certmill:crl:*");
    ensure!(
        told.contains(missing) && told.contains("certmill ca nats-permissions --redis"),
        "{told}"
    );
    Ok(())
}

#[tokio::test]
async fn the_charts_files_are_what_the_command_prints_for_the_charts_values() -> anyhow::Result<()>
{
    let own = yaml(&std::fs::read_to_string(directory().join("values.yaml"))?)?;
    let shards = u8::try_from(own[0]["nats"]["orderShards"].as_u64().context("a number")?)?;
    for (name, arguments) in
        [("nats-permissions.conf", &[][..]), ("redis-users.acl", &["--redis"][..])]
    {
        let (file, text) =
            (directory().join("files").join(name), printed(shards, arguments).await?);
        if renew() {
            std::fs::write(&file, &text)?;
        }
        ensure!(std::fs::read_to_string(&file)? == text, "{name} is another: run `make golden`");
    }
    Ok(())
}
