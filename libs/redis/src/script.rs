//! The Lua scripts. Each runs on a primary only, because its first line does not say `no-writes`: a demoted primary
//! refuses even reads, which would be stale.

use redis::Script;

/// Puts before a script what tells the memory of this server, and whether an epoch has ended with it.
macro_rules! with_fence {
    ($body:literal) => {
        concat!(
            r"#!lua
-- Names the memory this server has: its process, and the history of its data, which is another after every
-- promotion. The process alone would not do: a primary that was demoted, took over older data and was promoted
-- again is still the same process. Beside it the time by its clock, in seconds. Measured on Redis 7.0: 5 microseconds.
local function memory()
  local info = redis.call('INFO', 'server', 'replication')
  local process = string.find(info, '\nrun_id:', 1, true)
  local time = string.find(info, '\nserver_time_usec:', process, true)
  local history = string.find(info, '\nmaster_replid:', time, true)
  local named = string.sub(info, process + 8, process + 47) .. string.sub(info, history + 15, history + 54)
  return named, tonumber(string.sub(info, time + 18, time + 27))
end
-- For how many seconds nobody used this memory. A clock that jumped ahead looks the same, and ends keys before their time.
local function unused(used, time)
  return time - (tonumber(used) or time)
end
-- Whether the epoch in the arguments is not that of this memory. Spent nonces are kept for two minutes more than needed.
local function has_ended()
  local held_memory, epoch, used = unpack(redis.call('HMGET', KEYS[1], 'memory', 'epoch', 'used'))
  local now, time = memory()
  local seconds = unused(used, time)
  if epoch ~= ARGV[1] or held_memory ~= now or seconds > 120 then return true end
  if not used or seconds > 60 or seconds < 0 then redis.call('HSET', KEYS[1], 'used', time) end
  return false
end
-- How many keys the process has thrown away so far for lack of memory, which happens between two scripts and not within one.
local function count_evicted()
  local info = redis.call('INFO', 'stats')
  local counter = string.find(info, '\nevicted_keys:', 1, true)
  return string.match(info, '^%d+', counter + 14)
end
-- Whether it has thrown keys away since the epoch began. Only who reads asks for that, since it takes 4 microseconds: what is
-- written is there, and a marker that is written before a reader has ended the epoch has a tag that does not count after it.
local function has_evicted()
  return (redis.call('HMGET', KEYS[1], 'evicted')[1] or '0') ~= count_evicted()
end
",
            $body
        )
    };
}

/// Reads the epoch of this memory, or makes the one in the arguments, unless the database belongs to another log.
///
/// Keys: epoch. Arguments: when the log was made, its group or nothing, a new epoch, a new sealing key. Answer: when the log that
/// the database belongs to was made; then, if it is the log in the arguments, the epoch, its sealing key, 1 if both are new, and
/// the tag of the markers that count, or nothing where no key was ever thrown away. An entry of an index is kept for longer than a
/// day, so that none ended early within one.
///
/// A database belongs to the first log that asks. It is the same log if either of its two marks is the same; the other one is
/// then brought up to date.
const EPOCH: &str = with_fence!(
    r"
local made_at, group, new_epoch, new_key = unpack(ARGV)
local held_memory, epoch, key, held_made_at, held_group, held_evicted, used, marks =
  unpack(redis.call('HMGET', KEYS[1], 'memory', 'epoch', 'key', 'log', 'group', 'evicted', 'used', 'marks'))
local same_group = group ~= '' and held_group == group
if held_made_at and held_made_at ~= made_at and not same_group then return {held_made_at, '', '', 0, ''} end
if held_made_at ~= made_at then redis.call('HSET', KEYS[1], 'log', made_at) end
if group ~= '' and not same_group then redis.call('HSET', KEYS[1], 'group', group) end
local now, time = memory()
local seconds, evicted = unused(used, time), count_evicted()
local is_same = held_memory == now and (held_evicted or '0') == evicted
if is_same and seconds <= 120 and epoch and key then return {made_at, epoch, key, 0, marks or ''} end
redis.call(
  'HSET', KEYS[1], 'memory', now, 'evicted', evicted, 'used', time, 'epoch', new_epoch, 'key', new_key)
if evicted ~= '0' and not is_same or seconds > 86400 then
  marks = new_epoch
  redis.call('HSET', KEYS[1], 'marks', marks)
end
return {made_at, new_epoch, new_key, 1, marks or ''}
"
);

/// Redeems a nonce and reads values.
///
/// Keys: epoch, bitmap of spent nonces, any number of values. Arguments: epoch, counter of the nonce or nothing, how long
/// to keep the bitmap (ms), for each value how long to keep it from now (ms) or nothing. Answer: -1 when the epoch has
/// ended; else 0 for a fresh nonce, 1 for a spent one, 2 for none, and the values.
const EXCHANGE: &str = with_fence!(
    r"
if has_ended() or has_evicted() then return {-1} end
local answer = {2}
if ARGV[2] ~= '' then
  answer[1] = redis.call('SETBIT', KEYS[2], ARGV[2], 1)
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
for i = 3, #KEYS do
  local keep = ARGV[i + 1]
  if keep == '' then
    answer[i - 1] = redis.call('GET', KEYS[i])
  else
    answer[i - 1] = redis.call('GETEX', KEYS[i], 'PX', keep)
  end
end
return answer
"
);

/// Writes stamped values, each unless one with the same tag and the same or a higher version is there.
///
/// Keys: epoch, values. Arguments: epoch, for each value what is written, and how long to keep it (ms) or nothing.
/// Answer: 0 when the epoch has ended, else 1. Stamps are hex and decimal digits of fixed width, which every locale compares
/// in the same way.
const WRITE: &str = with_fence!(
    r"
if has_ended() then return 0 end
for i = 2, #KEYS do
  local value, keep = ARGV[2 * i - 2], ARGV[2 * i - 1]
  local there = redis.call('GETRANGE', KEYS[i], 0, 40)
  local same_tag = string.sub(there, 1, 16) == string.sub(value, 1, 16)
  if not same_tag or there < string.sub(value, 1, 41) then
    if keep == '' then
      redis.call('SET', KEYS[i], value)
    else
      redis.call('SET', KEYS[i], value, 'PX', keep)
    end
  end
end
return 1
"
);

/// Adds orders to the sorted sets of their accounts, and removes those that are too old to be in the log.
///
/// Keys: epoch, for each order a set. Arguments: epoch, how long to keep the sets (ms), for each order its member, and the
/// least member to stay. Answer: 0 when the epoch has ended, else 1. Beside the orders a set holds the tag of who wrote to it
/// last, behind all digits.
const PUT_ORDERS: &str = with_fence!(
    r"
if has_ended() then return 0 end
for i = 2, #KEYS do
  local member, least = ARGV[2 * i - 1], ARGV[2 * i]
  redis.call('ZREMRANGEBYLEX', KEYS[i], '[=', '+')
  redis.call('ZREMRANGEBYLEX', KEYS[i], '-', '(' .. least)
  redis.call('ZADD', KEYS[i], 0, member, 0, '=' .. ARGV[1])
  redis.call('PEXPIRE', KEYS[i], ARGV[2])
end
return 1
"
);

/// Reads orders of an account and how far the index is complete, as both are at one moment.
///
/// Keys: set, markers. Arguments: where to start, or nothing for the newest first; how many at most. Answer: members, and
/// the markers.
const LIST_ORDERS: &str = r"#!lua
local answer
if ARGV[1] == '' then
  answer = {redis.call('ZREVRANGEBYLEX', KEYS[1], '(=', '-', 'LIMIT', 0, ARGV[2])}
else
  answer = {redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], '(=', 'LIMIT', 0, ARGV[2])}
end
for i = 2, #KEYS do answer[i] = redis.call('GET', KEYS[i]) end
return answer
";

/// Removes values and sets whose tag is another than that of the epoch.
///
/// Keys: epoch, values. Arguments: epoch. Answer: 0 when the epoch has ended, else 1: what has the tag of a later epoch
/// may have been marked as complete.
const SWEEP: &str = with_fence!(
    r"
if has_ended() then return 0 end
for i = 2, #KEYS do
  local stays
  if redis.call('TYPE', KEYS[i])['ok'] == 'zset' then
    stays = redis.call('ZSCORE', KEYS[i], '=' .. ARGV[1])
  else
    stays = redis.call('GETRANGE', KEYS[i], 0, 15) == ARGV[1]
  end
  if not stays then redis.call('UNLINK', KEYS[i]) end
end
return 1
"
);

pub(crate) struct Scripts {
    pub(crate) epoch: Script,
    pub(crate) exchange: Script,
    pub(crate) write: Script,
    pub(crate) put_orders: Script,
    pub(crate) list_orders: Script,
    pub(crate) sweep: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            epoch: Script::new(EPOCH),
            exchange: Script::new(EXCHANGE),
            write: Script::new(WRITE),
            put_orders: Script::new(PUT_ORDERS),
            list_orders: Script::new(LIST_ORDERS),
            sweep: Script::new(SWEEP),
        }
    }
}
