-- What wrk sends: one verb on ConfigMaps of 1 KB. Arguments: verb, number of objects, bearer token.
-- The figures go to standard error as one JSON object, in microseconds.

local threads = {}

function setup(thread)
   thread:set("id", #threads)
   table.insert(threads, thread)
end

function init(args)
   verb, objects = args[1], tonumber(args[2])
   count, bad = 0, 0
   text = string.rep("x", 800)
   root = "/api/v1/namespaces/default/configmaps"
   headers = { ["Authorization"] = "Bearer " .. args[3], ["Content-Type"] = "application/json" }
   if verb == "patch" then headers["Content-Type"] = "application/merge-patch+json" end
   math.randomseed(id + 1)
end

local function body(name)
   return string.format('{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"},"data":{"version":"%d-%d","text":"%s"}}',
      name, id, count, text)
end

function request()
   count = count + 1
   if verb == "list" then return wrk.format("GET", root, headers) end
   if verb == "create" then
      return wrk.format("POST", root, headers, body(string.format("new-%d-%d", id, count)))
   end
   local name = string.format("bench-%05d", math.random(0, objects - 1))
   local path = root .. "/" .. name
   if verb == "get" then return wrk.format("GET", path, headers) end
   if verb == "update" then return wrk.format("PUT", path, headers, body(name)) end
   return wrk.format("PATCH", path, headers, string.format('{"data":{"version":"%d-%d"}}', id, count))
end

function response(status)
   if status >= 400 then bad = bad + 1 end
end

function done(summary, latency)
   local failed = 0
   for _, thread in ipairs(threads) do failed = failed + thread:get("bad") end
   local errors = summary.errors
   io.stderr:write(string.format(
      '{"requests":%d,"microseconds":%d,"median":%.1f,"p99":%.1f,"failed":%d,"broken":%d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failed,
      errors.connect + errors.read + errors.write + errors.timeout))
end
