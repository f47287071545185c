-- The meters of `bucket.py`, `window.py` and `gauge.py`, on rows that replicas share: one request, or
-- what is settled after it, in one atomic step. The arithmetic is theirs, line by line.
--
-- ARGV[1] is JSON: `enter` (all or nothing) or not, `me`, `prefix`, `now` and `epoch` (the server's own
-- time where they are absent), `month_end` in Unix seconds, and `rows`. A row has its `key`, its `era`, its `about`,
-- what it is at `rest` (pieces of a count and a number), a `factor` and the `scalings` that led to it (each a
-- factor and how long ago), `keep_s`, `buckets` (places) and `quotas`. State is doubles, the factor and since when first.

local TOLERANCE_S, WAIT_S, INF = 1e-6, 1.0, math.huge
local call, ask = redis.call, cjson.decode(ARGV[1])
local KEEP_S = 32 * 86400

local function clock()
  if ask.now then return ask.now, ask.epoch end
  local time, name = call('TIME'), ask.prefix .. 'epoch'
  local epoch = call('GET', name)
  if not epoch then
    epoch = time[1]
    call('SET', name, epoch)
  end
  call('EXPIRE', name, KEEP_S)
  return (tonumber(time[1]) - tonumber(epoch)) + tonumber(time[2]) / 1e6, tonumber(epoch)
end

local now, epoch = clock()

local function get(row, at)
  return (struct.unpack('<d', call('GETRANGE', row.key, (at + 2) * 8, (at + 2) * 8 + 7)))
end

local function set(row, at, value)
  call('SETRANGE', row.key, (at + 2) * 8, struct.pack('<d', value))
end

-- One that several replicas tell counts once: it is the later one's that changes nothing.
local function scale(row, factor, since)
  local before = get(row, -2)
  if before == factor or since < get(row, -1) - TOLERANCE_S then return end
  for _, at in ipairs(row.buckets) do
    local full_at = get(row, at)
    if full_at > since then set(row, at, since + (full_at - since) * before / factor) end
  end
  set(row, -2, factor)
  set(row, -1, since)
end

local function open(row)
  if call('EXISTS', row.key) == 0 then
    local last = row.scalings[#row.scalings]
    local pieces = { struct.pack('<d', row.factor), struct.pack('<d', last and now - last[2] or 0.0) }
    for _, piece in ipairs(row.rest) do
      local value = piece[2] == 'never' and -INF or piece[2]
      table.insert(pieces, string.rep(struct.pack('<d', value), piece[1]))
    end
    call('SET', row.key, table.concat(pieces))
    call('SADD', ask.prefix .. 'rows:' .. row.era, row.about)
    call('EXPIRE', ask.prefix .. 'rows:' .. row.era, KEEP_S)
  else
    for _, scaling in ipairs(row.scalings) do scale(row, scaling[1], now - scaling[2]) end
  end
  call('EXPIRE', row.key, row.keep_s)
end

local meters = {}

meters.bucket = {
  wait = function(row, quota, n)
    local owed_s = get(row, quota.at) - now
    local wait_s = (owed_s > 0 and owed_s or 0.0) + n / quota.rate - quota.span_s
    if wait_s <= TOLERANCE_S then return 0.0 end
    return n <= quota.limit and wait_s or INF
  end,
  take = function(row, quota, n)
    local full_at = get(row, quota.at)
    set(row, quota.at, (full_at > now and full_at or now) + n / quota.rate)
  end,
  standing = function(row, quota)
    local owed_s = get(row, quota.at) - now
    if owed_s <= 0 then return 0.0, 0.0 end
    return owed_s * quota.rate, owed_s
  end,
}

local function ago(row, quota, back)
  return get(row, quota.at + 1 + (get(row, quota.at) - back) % quota.count)
end

local function whole(n)
  return n < 0 and math.ceil(n) or math.floor(n)
end

meters.window = {
  wait = function(row, quota, n)
    if n <= 0 then return 0.0 end
    if n > quota.limit then return INF end
    local wait_s = ago(row, quota, quota.limit - whole(n) + 1) + quota.period_s - now
    return wait_s > TOLERANCE_S and wait_s or 0.0
  end,
  take = function(row, quota, n)
    local place = get(row, quota.at)
    for _ = 1, whole(n) do
      set(row, quota.at + 1 + place, now)
      place = (place + 1) % quota.count
    end
    for _ = 1, -whole(n) do
      place = (place - 1) % quota.count
      set(row, quota.at + 1 + place, -INF)
    end
    set(row, quota.at, place)
  end,
  standing = function(row, quota)
    local low, high, since = 0, quota.count, now - quota.period_s + TOLERANCE_S
    while low < high do
      local middle = math.floor((low + high + 1) / 2)
      if ago(row, quota, middle) > since then low = middle else high = middle - 1 end
    end
    return low, math.max(0.0, ago(row, quota, 1) + quota.period_s - now)
  end,
}

meters.counter = {
  wait = function(row, quota, n)
    if n > quota.limit then return INF end
    local left_s, used = get(row, quota.at) - now, get(row, quota.at + 1)
    if left_s <= TOLERANCE_S or (used + n <= quota.limit and used < quota.limit) then return 0.0 end
    return left_s
  end,
  take = function(row, quota, n)
    if get(row, quota.at) - now <= TOLERANCE_S then
      set(row, quota.at, quota.monthly and ask.month_end - epoch or now + quota.period_s)
      set(row, quota.at + 1, 0.0)
    end
    set(row, quota.at + 1, math.max(0.0, get(row, quota.at + 1) + n))
  end,
  standing = function(row, quota)
    local left_s = get(row, quota.at) - now
    if left_s <= TOLERANCE_S then return 0.0, 0.0 end
    return get(row, quota.at + 1), left_s
  end,
}

-- What is held is held by somebody, and given back when that one is not heard of any more.
local function held(row, quota)
  local name = row.key .. ':held:' .. quota.at
  local sum, mine = 0.0, 0.0
  local all = call('HGETALL', name)
  for i = 1, #all, 2 do
    if all[i] == ask.me then
      mine = tonumber(all[i + 1])
      sum = sum + mine
    elseif call('EXISTS', ask.prefix .. 'alive:' .. all[i]) == 1 then
      sum = sum + tonumber(all[i + 1])
    else
      call('HDEL', name, all[i])
    end
  end
  return sum, mine, name
end

meters.gauge = {
  wait = function(row, quota, n)
    if n > quota.limit then return INF end
    return held(row, quota) + n <= quota.limit and 0.0 or WAIT_S
  end,
  take = function(row, quota, n)
    local _, mine, name = held(row, quota)
    call('HSET', name, ask.me, string.format('%.17g', math.max(0.0, mine + n)))
    call('EXPIRE', name, KEEP_S)
  end,
  standing = function(row, quota)
    local sum = held(row, quota)
    return sum, sum > 0 and INF or 0.0
  end,
}

local waits, free = {}, true
for _, row in ipairs(ask.rows) do
  open(row)
  for _, quota in ipairs(row.quotas) do
    local wait_s = meters[quota.kind].wait(row, quota, quota.n)
    table.insert(waits, wait_s)
    free = free and wait_s == 0
  end
end
if ask.enter == false or free then
  for _, row in ipairs(ask.rows) do
    for _, quota in ipairs(row.quotas) do
      if quota.n ~= 0 then meters[quota.kind].take(row, quota, quota.n) end
    end
  end
end
local said = { free and '1' or '0' }
for _, row in ipairs(ask.rows) do
  for _, quota in ipairs(row.quotas) do
    local used, reset_s = meters[quota.kind].standing(row, quota)
    table.insert(said, string.format('%.17g', table.remove(waits, 1)))
    table.insert(said, string.format('%.17g', used))
    table.insert(said, string.format('%.17g', reset_s))
  end
end
return said
