-- The codecs for other languages: golden.json has values and their bytes.
local gipc = require "gipc"
local find = require("gipc.codec").find
local support = require "support"
local equal, fails, raises = support.equal, support.fails, support.raises

local LEVELS = 100000
local CODECS = { "msgpack", "json" }

-- golden.lua is one folder up.
local function read_golden()
  if not support.has "cjson" then
    support.not_here "no cjson to read the table with"
  end
  local folder = support.suite:match "^(.*)lua/suite%.lua$"
  package.loaded.golden = package.loaded.golden or dofile(folder .. "golden.lua")
  return package.loaded.golden
end

local function encoded(codec, value)
  local encode = find(codec)
  return encode(value)
end

-- A pipe whose writer takes the bytes of messages.
local function pipe_to_decode(codec)
  local _, decode = find(codec)
  return gipc.pipe {
    codec = {
      encode = function(bytes)
        return bytes
      end,
      decode = decode,
    },
  }
end

local function expect_malformed(codec, bytes)
  local r, w = pipe_to_decode(codec)
  assert(w:put(bytes))
  assert(w:put(encoded(codec, "next")))
  fails(gipc.EBADMSG, "cannot be decoded: .", r:get())
  equal(r:get(), "next")
  r:close()
  w:close()
end

-- Nothing is written, and the handle can be used.
local function expect_refused(codec, value)
  local r, w = gipc.pipe { codec = codec }
  raises(".", w.put, w, value)
  assert(w:put "next")
  equal(r:get(), "next")
  r:close()
  w:close()
end

return function(test)
  test("the_values_of_every_language", function()
    local golden = read_golden()

    local function check_decoding(codec, entry, bytes)
      local r, w = pipe_to_decode(codec)
      assert(w:put(bytes))
      local got, why, code = r:get()
      local may_differ = golden.may_differ(entry, golden.language, codec)
      local refused = code == gipc.EBADMSG and may_differ
      local what = codec .. ": " .. entry.name .. ": " .. (why or tostring(got))
      equal(refused or golden.same(got, entry.got, may_differ), true, what)
      r:close()
      w:close()
    end

    for _, codec in ipairs(CODECS) do
      for _, entry in ipairs(golden.entries) do
        local bytes = entry.bytes[codec]
        if bytes then
          check_decoding(codec, entry, bytes)
        end
        if bytes and entry.put ~= nil then
          local again = encoded(codec, entry.put)
          check_decoding(codec, entry, again)
          if again ~= bytes then -- only what no other kind of value could be
            local is_fraction = codec == "json" and entry.value[1] == "float"
            local may_differ = golden.may_differ(entry, golden.language, codec)
            equal(is_fraction or may_differ, true, codec .. ": " .. entry.name)
          end
        elseif entry.put ~= nil then
          expect_refused(codec, entry.put)
        end
        if bytes and type(entry.got) == "string" and not golden.may_differ(entry, golden.language, codec) then
          equal(encoded(codec, entry.got), bytes, codec .. ": " .. entry.name) -- unmarked
        end
      end
    end
  end)

  test("integers_are_exact_or_refused", function()
    local golden = read_golden()
    local exact = math.type and "%d" or "%.0f" -- for a number of C, which may have 32 bits
    for _, entry in ipairs(golden.entries) do
      local digits = entry.value[1] == "int" and entry.value[2]
      for _, codec in ipairs(digits and CODECS or {}) do
        local _, decode = find(codec)
        local ok, got = pcall(decode, entry.bytes[codec])
        equal(not ok or exact:format(got) == digits, true, codec .. ": " .. digits)
        if not ok then -- only where this Lua or its cjson has no such integer
          equal(codec == "json" or entry.got == nil, true, codec .. ": " .. digits)
        end
      end
    end
    for _, digits in ipairs { "18446744073709551616", "-9223372036854775809" } do
      expect_malformed("json", digits)
      expect_malformed("json", "[0.5," .. digits .. "]")
    end
    -- None of these is an integer.
    local _, decode = find "json"
    equal(decode '"18446744073709551616"', "18446744073709551616")
    equal(decode '"\\"18446744073709551616"', '"18446744073709551616')
    equal(decode "0.12345678901234567890", 0.12345678901234567890)
    equal(decode "1844674407370955.16e20", 1844674407370955.16e20)
  end)

  test("floats_are_exact", function()
    for _, codec in ipairs(support.has "cjson" and CODECS or { "msgpack" }) do
      local _, decode = find(codec)
      for _, number in ipairs {
        0.1, 1 / 3, 0.1 + 0.2, 1e15 + 0.5, 123456789012345.67, 2 ^ 53, 2 ^ 60, 1e22, -1e300, 1e-300,
        2 ^ -1022, 2 ^ -1022 - 2 ^ -1074, 2 ^ -1074, 1.7976931348623157e308,
      } do
        equal(decode(encoded(codec, number)), number, codec)
      end
      equal(1 / decode(encoded(codec, tonumber "-0.0")), -1 / 0, codec)
    end
  end)

  test("a_null_in_a_list_keeps_its_place", function()
    local _, decode = find "msgpack"
    local list = decode "\147\1\192\3"
    equal(#list, 3)
    equal(list[2], gipc.null)
    equal(encoded("msgpack", list), "\147\1\192\3")
    equal(decode("\129\161k\192").k, gipc.null)
  end)

  test("a_malformed_message_is_reported_and_the_next_one_is_got", function()
    local golden = read_golden()
    for _, codec in ipairs(CODECS) do
      for _, bytes in ipairs(golden.malformed[codec]) do
        expect_malformed(codec, bytes)
      end
    end
    expect_malformed("msgpack", "\199\1\5\0") -- an extension
    expect_malformed("json", '"\255"')
  end)

  test("json_has_text_for_keys_and_no_bytes", function()
    read_golden()
    for _, value in ipairs {
      { [2] = 1 }, { { [true] = 1 } }, { a = { [0.5] = 1 } }, gipc.map { 1 }, gipc.binary "x", "\255",
      { ["\255"] = 1 }, print, { io.stdout },
    } do
      expect_refused("json", value)
    end
    equal(encoded("json", {}), "[]")
    equal(encoded("json", gipc.map {}), "{}")
    equal(encoded("json", { gipc.null, { a = false } }), '[null,{"a":false}]')
  end)

  -- H110
  test("nesting_has_a_limit", function()
    local hostile = {
      msgpack = { ("\145"):rep(LEVELS), ("\129\1"):rep(LEVELS), ("\145"):rep(LEVELS) .. "\192" },
      json = { ("["):rep(LEVELS), ('{"a":'):rep(LEVELS) },
    }
    local deep, cycle = {}, {}
    for _ = 1, LEVELS do
      deep = { deep }
    end
    cycle[1] = cycle
    for _, codec in ipairs(support.has "cjson" and CODECS or { "msgpack" }) do
      local _, decode = find(codec)
      for _, bytes in ipairs(hostile[codec]) do
        local ok, why = pcall(decode, bytes)
        equal(ok, false)
        equal(why:find "levels" ~= nil or why:find "nested" ~= nil, true, why)
      end
      expect_refused(codec, deep)
      expect_refused(codec, cycle)
    end
  end)
end
