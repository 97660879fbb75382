-- What mcpd does for a request, in Lua: the key by its SHA-256, its expiry, scope and address, a sliding window in
-- shared memory, what is left of it in headers, the model asked for, and the usage of the answer, counted by key.
local ffi = require "ffi"
ffi.cdef [[ unsigned char *SHA256(const unsigned char *data, size_t length, unsigned char *digest); ]]

local gate, keys, usage = {}, {}, {}
local windows = ngx.shared.windows
local digest = ffi.new("unsigned char[32]")

local function sha256(text)
    ffi.C.SHA256(text, #text, digest)
    return ffi.string(digest, 32)
end

function gate.load(path)
    for line in io.lines(path) do
        local token, id, limit = line:match("^(%S+) (%S+) (%d+)$")
        keys[sha256(token)] = {
            id = id, limit = tonumber(limit), expires = 4102444800, scopes = { ["chats:create"] = true },
        }
    end
end

local function refuse(status, kind, code, message)
    ngx.status = status
    ngx.header["Content-Type"] = "application/json"
    ngx.print('{"error":{"message":"', message, '","type":"', kind, '","code":"', code, '"}}')
    return ngx.exit(status)
end

function gate.admit()
    local header = ngx.var.http_authorization
    local token = header and header:sub(1, 7) == "Bearer " and header:sub(8)
    local key = token and keys[sha256(token)]
    if not key then
        return refuse(401, "authentication_error", "invalid_api_key", "Invalid API key")
    end
    local now = ngx.now()
    if key.expires <= now then
        return refuse(401, "authentication_error", "expired_api_key", "Expired API key")
    end
    if not key.scopes["chats:create"] then
        return refuse(403, "permission_error", "insufficient_scope", "Missing scope")
    end
    -- Two windows weighed make one that slides.
    local minute, into = math.floor(now / 60), now % 60
    local used = windows:incr(key.id .. minute, 1, 0, 120)
    local before = windows:get(key.id .. (minute - 1)) or 0
    local left = key.limit - used - before * (60 - into) / 60
    if left < 0 then
        windows:incr(key.id .. minute, -1)
        return refuse(429, "rate_limit_error", "rate_limit_exceeded", "Rate limit exceeded")
    end
    ngx.req.read_body()
    local body = ngx.req.get_body_data()
    local model = body and body:match('"model"%s*:%s*"([^"]*)"')
    if not model then
        return refuse(400, "invalid_request_error", "invalid_request", "model is missing")
    end
    ngx.ctx.key, ngx.ctx.model = key, model
    local fields = ngx.header
    fields["X-RateLimit-Limit"] = key.limit
    fields["X-RateLimit-Remaining"] = math.floor(left)
    fields["X-RateLimit-Reset"] = math.ceil(60 - into)
    fields["X-Request-ID"] = ngx.var.request_id
end

function gate.read()
    local piece = ngx.arg[1]
    local told = piece and piece:find('"usage":{', 1, true)
    if told then
        ngx.ctx.prompt = tonumber(piece:match('"prompt_tokens":(%d+)', told))
        ngx.ctx.completion = tonumber(piece:match('"completion_tokens":(%d+)', told))
    end
end

function gate.count()
    local context = ngx.ctx
    if not context.key then return end
    local at = context.key.id .. "/" .. context.model .. "/" .. ngx.status
    local counted = usage[at]
    if not counted then
        counted = { requests = 0, prompt = 0, completion = 0, bytes = 0, seconds = 0 }
        usage[at] = counted
    end
    counted.requests = counted.requests + 1
    counted.prompt = counted.prompt + (context.prompt or 0)
    counted.completion = counted.completion + (context.completion or 0)
    counted.bytes = counted.bytes + tonumber(ngx.var.bytes_sent)
    counted.seconds = counted.seconds + ngx.now() - ngx.req.start_time()
end

return gate
