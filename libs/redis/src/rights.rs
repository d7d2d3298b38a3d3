//! What a user of Redis must be allowed to do, and the trial that shows whether it is.
//!
//! Without the trial, a missing right would only be noticed by the request that needs it: a connection itself needs
//! only a login, INFO and scripts.

use std::collections::BTreeSet;

use redis::{RedisError, Script, ScriptInvocation, aio::MultiplexedConnection};

use crate::ConnectError;

/// Tries every command on every key. Redis looks at the rights of the user first and then at the flag of the script, so that
/// nothing is written; reading what happens to be there does no harm.
///
/// Arguments: commands, patterns of keys. Answer: what is denied, as rules of an ACL. Servers tell a command that is denied
/// from a key that is by nothing but these words.
const TRIAL: &str = r"#!lua flags=no-writes
local arguments = {
  get = {}, getex = {'PX', 1}, getrange = {0, 0}, hmget = {'f'}, hset = {'f', 'v'}, pexpire = {1}, set = {'v'},
  setbit = {0, 0}, zadd = {0, 'm'}, zrangebylex = {'-', '+'}, zremrangebylex = {'-', '+'}, zrevrangebylex = {'+', '-'}
}
local denied = {}
for command in string.gmatch(ARGV[1], '%S+') do
  for pattern in string.gmatch(ARGV[2], '%S+') do
    local key = string.gsub(pattern, '%*', 'x')
    local answer = redis.pcall(command, key, unpack(arguments[command]))
    local told = type(answer) == 'table' and answer.err or ''
    if string.find(told, ' run th', 1, true) then denied['+' .. command] = true end
    if string.find(told, ' access a', 1, true) then denied['~' .. pattern] = true end
  end
end
local answer = {}
for rule in pairs(denied) do answer[#answer + 1] = rule end
return answer
";

/// What a user must be allowed to do beside logging in, INFO, and loading and calling scripts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// The commands within scripts, in lower case.
    pub commands: BTreeSet<&'static str>,
    /// The patterns of the keys, each to be read and written.
    pub keys: BTreeSet<String>,
}

impl Rights {
    /// Tries out whether the user of a connection has them; does nothing where none are needed.
    ///
    /// # Errors
    /// [`ConnectError::Forbidden`] names what is missing; else the trial had no outcome.
    pub(crate) async fn check(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), ConnectError> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let script = Script::new(TRIAL);
        // Even if Redis knows this script: loading others needs the right.
        script.load_async(connection).await.map_err(|error| needing("+script|load", error))?;
        let commands: Vec<&str> = self.commands.iter().copied().collect();
        let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
        let mut call: ScriptInvocation<'_> = script.prepare_invoke();
        call.arg(commands.join(" ")).arg(keys.join(" "));
        let denied = call.invoke_async::<BTreeSet<String>>(connection).await;
        let denied = denied.map_err(|error| needing("+evalsha", error))?;
        if denied.is_empty() {
            return Ok(());
        }
        let missing: Vec<String> = denied.into_iter().collect();
        Err(ConnectError::Forbidden { missing: missing.join(" ") })
    }
}

/// Why a command failed that needs a right.
pub(crate) fn needing(right: &str, error: RedisError) -> ConnectError {
    match error.code() {
        Some("NOPERM") => ConnectError::Forbidden { missing: right.to_owned() },
        Some(_) | None => ConnectError::Unreachable(error),
    }
}
