-- Makes many tenants by the admin API, with wrk as the client, since a process for each would take an hour. From the environment:
--   WRK_PHASE      tenants, buckets or api-keys
--   WRK_COUNT      how many
--   WRK_RATE       each tenant's limit
--   WRK_REPORT     where the API keys go, one a line; in the other phases a line for each that was made. It is there when all are made

local phase, count, rate = os.getenv("WRK_PHASE"), tonumber(os.getenv("WRK_COUNT")), os.getenv("WRK_RATE")
-- wrk asks for one request that it does not send, to see what it looks like.
local asked, made, report = -1, 0, nil

local bodies = {
   tenants = function(slug)
      return "/admin/v1/tenants", string.format('{"slug":"%s","rate_per_second":%s,"burst":%s}', slug, rate, rate)
   end,
   buckets = function(slug)
      return "/admin/v1/tenants/" .. slug .. "/buckets",
         string.format('{"endpoint":"http://127.0.0.1:9000","region":"auto","bucket":"%s-uploads",', slug)
         .. '"access_key_id":"AKIAIOSFODNN7EXAMPLE","secret_access_key":"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}'
   end,
   ["api-keys"] = function(slug)
      return "/admin/v1/api-keys", string.format('{"tenant":"%s","label":"bench"}', slug)
   end,
}

function init()
   wrk.headers["Content-Type"] = "application/json"
   report = io.open(os.getenv("WRK_REPORT") .. ".new", "w")
end

function request()
   asked = asked + 1
   if asked < 1 or asked > count then return wrk.format("GET", "/livez") end
   local path, body = bodies[phase](string.format("many-%05d", asked))
   return wrk.format("POST", path, nil, body)
end

function response(status, _, body)
   if status == 201 then
      made = made + 1
      report:write(body:match('"api_key":"([^"]+)"') or made, "\n")
      if made == count then
         report:close()
         os.rename(os.getenv("WRK_REPORT") .. ".new", os.getenv("WRK_REPORT"))
         wrk.thread:stop()
      end
   elseif status ~= 200 then
      io.stderr:write(status, " ", body, "\n")
      os.exit(1)
   end
end
