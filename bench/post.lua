-- Posts the records of a file, each a whole HTTP request of the same length. One thread only.
-- Arguments: file, length of a record, number of the first, how many, pause between requests in ms.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  file = assert(io.open(args[1], "rb"))
  length, first, count, pause = tonumber(args[2]), tonumber(args[3]), tonumber(args[4]), tonumber(args[5])
  taken, wraps = 0, 0
  file:seek("set", first * length)
  if pause > 0 then
    delay = function() return pause end
  end
end

function request()
  if taken == count then
    file:seek("set", first * length)
    taken, wraps = 0, wraps + 1
  end
  taken = taken + 1
  return file:read(length)
end

function done(summary, latency, requests)
  local wraps, errors = threads[1]:get("wraps"), summary.errors
  io.write(string.format(
    '\n{"answers": %d, "seconds": %.6f, "p50": %.3f, "p99": %.3f, "longest": %.3f, "wraps": %d, ' ..
    '"refused": %d, "broken": %d, "timeouts": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, wraps, errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
