-- wrk's side of bench/run. From the environment:
--   WRK_REPORT       where the figures go, as JSON
--   WRK_BODY         a body to POST
--   WRK_THINK_MS     each connection waits between its requests: at random, so long on average
--   WRK_API_KEYS     a file of API keys, taken in turn
--   WRK_TURNS        how many requests are made ready then: all different, so that few API keys cost wrk as much memory as many do
--   WRK_OBJECT_KEYS  where the object keys that were answered go, one a line
-- What is not asked for is not defined, so that wrk never calls Lua between requests.

local body, think, api_keys = os.getenv("WRK_BODY"), tonumber(os.getenv("WRK_THINK_MS") or ""), os.getenv("WRK_API_KEYS")

if body then
   wrk.method, wrk.body = "POST", body
   wrk.headers["Content-Type"] = "application/json"
end

if think then
   math.randomseed(4711)
   function delay() return math.floor(math.random() * 2 * think + 0.5) end
end

if api_keys then
   local requests, next_one = {}, 0
   function init()
      local known = {}
      for api_key in io.lines(api_keys) do known[#known + 1] = api_key end
      for turn = 1, math.max(tonumber(os.getenv("WRK_TURNS") or 0), #known) do
         wrk.headers["Authorization"] = "Bearer " .. known[(turn - 1) % #known + 1]
         wrk.headers["X-Turn"] = tostring(turn)
         requests[turn] = wrk.format()
      end
   end
   function request()
      next_one = next_one % #requests + 1
      return requests[next_one]
   end
end

local object_keys = os.getenv("WRK_OBJECT_KEYS")
if object_keys then
   local report = nil
   function response(_, _, answer)
      report = report or io.open(object_keys, "w")
      for object_key in answer:gmatch('"key":"([^"]+)"') do report:write(object_key, "\n") end
   end
end

function done(summary, latency)
   local errors = summary.errors
   local report = io.open(os.getenv("WRK_REPORT"), "w")
   report:write(string.format(
      '{"requests":%d,"seconds":%.6f,"errors":%d,"error_kinds":"connect %d, read %d, write %d, status %d, timeout %d","p50_us":%d,"p99_us":%d,"max_us":%d}\n',
      summary.requests, summary.duration / 1e6, errors.connect + errors.read + errors.write + errors.status + errors.timeout,
      errors.connect, errors.read, errors.write, errors.status, errors.timeout,
      latency:percentile(50), latency:percentile(99), latency.max))
   report:close()
end
