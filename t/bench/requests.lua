-- SPDX-License-Identifier: Apache-2.0
-- The requests of the benchmark, for wrk.  What to send is in the environment:
--
--   BENCH_KIND   path, file, get, eq, post, patch, add or login, see below
--   BENCH_HOST   value of the Host header
--   BENCH_TOKEN  of the tenant
--   BENCH_PATH   of "path", "file" and "login"; the id of the group of "add"
--   BENCH_IDS    file with the ids of all users, one a line
--   BENCH_USERS  users that are asked for: u0@example.com and so on
--   BENCH_FROM   of "patch": the first of the users that are changed
--   BENCH_FIRST  number of the first change: those before it have been made
--   BENCH_SPARE  of "add": the users behind BENCH_USERS that may be added
--   BENCH_LAST   of "add": the number at which it ends
--
-- Of the changes each is one: every id is PATCHed to false before any is to
-- true again, and no user is added twice.

local env = os.getenv
local kind, path, users = env("BENCH_KIND"), env("BENCH_PATH"), tonumber(env("BENCH_USERS"))
local n = tonumber(env("BENCH_FIRST"))
local api = "/scim/v2"

local function open_ids()
    local file = assert(io.open(env("BENCH_IDS"), "rb"))
    local text = file:read("*a")
    file:close()
    return function(i) return text:sub(i * 37 + 1, i * 37 + 36) end
end

local function base64(text)
    local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    local out = {}
    for i = 1, #text, 3 do
        local a, b, c = text:byte(i, i + 2)
        local word = a * 65536 + (b or 0) * 256 + (c or 0)
        for shift = 18, 0, -6 do
            local digit = math.floor(word / 2 ^ shift) % 64
            out[#out + 1] = digits:sub(digit + 1, digit + 1)
        end
    end
    local encoded = table.concat(out)
    local pad = (3 - #text % 3) % 3
    return encoded:sub(1, #encoded - pad) .. ("="):rep(pad)
end

local headers = " HTTP/1.1\r\nHost: " .. env("BENCH_HOST") .. "\r\n"
local bearer = headers .. "Authorization: Bearer " .. env("BENCH_TOKEN") .. "\r\n"

local function with_body(method, target, body)
    return method .. " " .. api .. target .. bearer
        .. "Content-Type: application/scim+json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

-- The n-th of count numbers in an order without a pattern, each once.
local function scattered(number, count)
    return number * 7368787 % count
end

local make = {}

function make.path()
    local fixed = "GET " .. path .. bearer .. "\r\n"
    return function() return fixed end
end

-- A file, at the cost that "get" has for wrk: a client that is slower in asking
-- finds the server in another state.
function make.file()
    local id = open_ids()
    local before, behind = "GET " .. path .. "?", bearer .. "\r\n"
    return function() return before .. id(math.random(0, users - 1)) .. behind end
end

function make.get()
    local id = open_ids()
    local before, behind = "GET " .. api .. "/Users/", bearer .. "\r\n"
    return function() return before .. id(math.random(0, users - 1)) .. behind end
end

function make.eq()
    local before = "GET " .. api .. "/Users?filter=userName%20eq%20%22u"
    local behind = "@example.com%22" .. bearer .. "\r\n"
    return function() return before .. math.random(0, users - 1) .. behind end
end

-- Users as fill.c makes them, with names that fall between those that are there.
function make.post()
    local user = [[{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User",]]
        .. [["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],]]
        .. [["userName":"u@@example.com","externalId":"u@","displayName":"Karin Vargas @",]]
        .. [["name":{"formatted":"Karin Vargas","givenName":"Karin","familyName":"Vargas"},]]
        .. [["title":"Engineer","userType":"Employee","locale":"en-US","timezone":"Europe/Berlin",]]
        .. [["active":true,"emails":[{"value":"u@@mail.example.com","type":"work","primary":true}],]]
        .. [["phoneNumbers":[{"value":"+1 555 0@","type":"work"},{"value":"+1 556 0@","type":"mobile"}],]]
        .. [["addresses":[{"type":"work","streetAddress":]]
        .. [["100 Universal City Plaza","locality":"Hollywood","region":"CA","postalCode":"91608",]]
        .. [["country":"US"}],"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":]]
        .. [[{"employeeNumber":"@","department":"Tour Operations","division":"Theme Park",]]
        .. [["costCenter":"4130"}}]]
    local parts = {}
    -- "@" is the number; where two stand together the second is itself
    for text in (user:gsub("@@", "@\1") .. "@"):gmatch("([^@]*)@") do
        parts[#parts + 1] = (text:gsub("\1", "@"))
    end
    return function()
        n = n + 1
        return with_body("POST", "/Users", table.concat(parts, math.random(0, users - 1) .. "." .. n))
    end
end

function make.patch()
    local id, from = open_ids(), tonumber(env("BENCH_FROM"))
    local count = users - from
    local before = [[{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],]]
        .. [["Operations":[{"op":"replace","path":"active","value":]]
    return function()
        local value = math.floor(n / count) % 2 == 0 and "false" or "true"
        local who = id(from + scattered(n, count))
        n = n + 1
        return with_body("PATCH", "/Users/" .. who, before .. value .. "}]}")
    end
end

function make.add()
    local id = open_ids()
    local spare, last = tonumber(env("BENCH_SPARE")), tonumber(env("BENCH_LAST"))
    local before = [[{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],]]
        .. [["Operations":[{"op":"add","path":"members","value":[{"value":"]]
    return function()
        if n >= last then
            wrk.thread:stop()
        end
        local who = id(users + scattered(n, spare))
        n = n + 1
        return with_body("PATCH", "/Groups/" .. path, before .. who .. [["}]}]}]])
    end
end

function make.login()
    local logins = {}
    for i = 1, 1000 do
        local who = "u" .. math.random(0, users - 1) .. "@example.com"
        logins[i] = "GET " .. path .. headers .. "Authorization: Basic " .. base64(who .. ":x")
            .. "\r\n\r\n"
    end
    return function() return logins[math.random(#logins)] end
end

local next_request

function init()
    math.randomseed(os.time() + n)
    next_request = make[kind]()
end

function request()
    return next_request()
end

-- One line for the program that started this; times are microseconds.
function done(summary, latency)
    local e = summary.errors
    io.write(string.format("BENCH requests=%d time=%d bytes=%d refused=%d broken=%d p50=%d p99=%d\n",
        summary.requests, summary.duration, summary.bytes, e.status,
        e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
end
