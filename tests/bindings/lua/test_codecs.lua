-- Codecs: what a message is on the other side.
local gipc = require "gipc"
local native = require "gipc.native"
local support = require "support"
local equal, fails, raises = support.equal, support.fails, support.raises

local function through(codec, value)
  local r, w = gipc.pipe { codec = codec }
  assert(w:put(value))
  local got, message, code = r:get()
  r:close()
  w:close()
  return got, message, code
end

-- The bytes of a value, as text.
local function bytes_of(value)
  local r, w = gipc.pipe { codec = "raw" }
  local encode = require("gipc.codec").find()
  w:put(encode(value))
  local bytes = r:get()
  r:close()
  w:close()
  return (bytes:gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end))
end

return function(test)
  test("a_string_alone_has_the_bytes_that_it_has_in_a_list", function()
    local encode, decode = require("gipc.codec").find "msgpack"
    for _, size in ipairs { 0, 1, 31, 32, 33, 127, 128, 255, 256, 65535, 65536 } do
      for _, byte in ipairs { "x", "\255" } do -- text, and not
        local s = byte:rep(size)
        -- The library encodes the list.
        equal("\145" .. encode(s) == encode { s }, true, "encoded " .. size)
        equal(decode(encode(s)) == s, true, "decoded " .. size)
      end
    end
    for _, broken in ipairs { "\217", "\217\3ab", "\217\1ab", "\163ab", "\161ab", "" } do
      equal(pcall(decode, broken), false, "broken")
    end
  end)

  test("messagepack_keeps_values", function()
    for _, value in ipairs {
      true, false, 0, 1, -1, 127, 128, 255, 256, 65535, 65536, 2 ^ 31, -2 ^ 31, 2 ^ 53, -2 ^ 53,
      0.5, -1.5e300, 1 / 0, -1 / 0, "", "text", "a\0b", "\255\254", ("x"):rep(70000), gipc.null,
    } do
      equal(through(nil, value), value)
    end
    local nan = through(nil, 0 / 0)
    equal(nan ~= nan, true)
    local got = through(nil, { 1, "two", { three = 3 }, n = { [5] = "five" } })
    equal(got[1], 1)
    equal(got[3].three, 3)
    equal(got.n[5], "five")
  end)

  test("integers_stay_integers", function()
    if not math.type then
      support.not_here "this Lua has one type of number"
    end
    for _, value in ipairs { 0, 1, -1, math.tointeger(2 ^ 40), math.maxinteger, math.mininteger, 1.0, 0.5 } do
      local got = through(nil, value)
      equal(got, value)
      equal(math.type(got), math.type(value))
    end
    if support.has "cjson" then
      equal(math.type(through("json", { 1, { 2 } })[2][1]), "integer")
      equal(math.type(through("json", 1.5)), "float")
    end
    local r, w = gipc.pipe()
    for _, number in ipairs { r:fd "r", gipc.EOF, gipc.ETIMEDOUT, r:stats().bytes_in, support.pid() } do
      equal(math.type(number), "integer")
    end
    local child = gipc.start_process(function() end)
    child:join()
    equal(math.type(child.pid), "integer")
    equal(math.type(child:exitcode()), "integer")
    equal(math.type(child:info().max_rss), "integer")
    r:close()
    w:close()
  end)

  test("strings_go_as_text_or_as_bytes", function()
    equal(bytes_of "abc", "a3616263")
    equal(bytes_of "\195\164", "a2c3a4")
    for _, s in ipairs {
      "\255", "\192\128", "\237\160\128", "\244\144\128\128", "\195", "\224\128\128", "a\128", "\240\128\128\128",
    } do
      equal(native.is_utf8(s), false)
      equal(bytes_of(s):sub(1, 4), ("c4%02x"):format(#s))
    end
    for _, s in ipairs { "", "a\0", "\195\191", "\224\160\128", "\237\159\191", "\239\191\191", "\240\144\128\128", "\244\143\191\191" } do
      equal(native.is_utf8(s), true)
    end
    equal(bytes_of(gipc.binary "abc"), "c403616263")
    equal(through(nil, gipc.binary "abc"), "abc")
    raises("takes a string", gipc.binary, 5)
  end)

  test("tables_go_as_arrays_or_as_maps", function()
    equal(bytes_of {}, "90")
    equal(bytes_of { 1, 2 }, "920102")
    equal(bytes_of { a = 1 }, "81a16101")
    equal(bytes_of { [2] = 1 }, "810201")
    equal(bytes_of(gipc.map {}), "80")
    equal(bytes_of { gipc.map { 7 } }, "91810107")
    equal(bytes_of { gipc.null }, "91c0")
    raises("takes a table", gipc.map, 5)
  end)

  test("the_settings_of_others_are_left_alone", function()
    local library = require "MessagePack"
    local before = library.pack { "\255", "x" }
    through(nil, "\255")
    equal(library.pack { "\255", "x" }, before)
    library.set_string "binary"
    equal(bytes_of "abc", "a3616263")
    library.set_string "string_compat"
  end)

  test("json_is_a_codec", function()
    if not support.has "cjson" then
      support.not_here "no cjson"
    end
    for _, value in ipairs { true, 1, "text", 0.5, gipc.null } do
      equal(through("json", value), value)
    end
    equal(gipc.null, require("cjson").null)
    equal(through("json", { a = { 1, gipc.null } }).a[2], gipc.null)
    local r, w = gipc.pipe { codec = "json" }
    raises("", w.put, w, 0 / 0)
    assert(w:put { 1 })
    equal(r:get()[1], 1)
    r:close()
    w:close()
  end)

  test("a_codec_may_be_two_functions", function()
    local codec = {
      encode = function(value)
        return tostring(value)
      end,
      decode = function(s)
        return s == "nil" and nil or tonumber(s) or error "no number"
      end,
    }
    equal(through(codec, 5), 5)
    equal(through({ codec.encode, codec.decode }, 7), 7)
    local r, w = gipc.pipe { codec = codec }
    w:put "x"
    w:put(6)
    fails(gipc.EBADMSG, "no number", r:get())
    equal(r:get(), 6)
    raises("did not return a string", function()
      through({ function() return 5 end, tostring }, 1)
    end)
    raises("two functions", gipc.pipe, { codec = {} })
    r:close()
    w:close()
  end)

  test("what_cannot_be_encoded_is_an_error", function()
    local r, w = gipc.pipe()
    raises("", w.put, w, print)
    raises("", w.put, w, { io.stdout })
    raises("", w.put_many, w, { 1, print })
    assert(w:put(1))
    equal(r:get(), 1)
    fails(gipc.ETIMEDOUT, "^timeout$", r:get(0))
    r:close()
    w:close()
  end)

  test("a_table_inside_itself_is_refused_each_time", function()
    local r, w = gipc.pipe()
    local inside = {}
    inside.me = { inside }
    for _ = 1, 30 do -- compiled code, too
      raises("inside itself at %.me%[1%]", w.put, w, inside)
    end
    r:close()
    w:close()
  end)

  -- H109, H110, H111
  test("malformed_messages_are_reported_and_skipped", function()
    local hostile, w = gipc.pipe { codec = "raw" }
    local hostile_list = {
      "\193", "\145", "\1\2", "\221\255\255\255\255", "\223\255\255\255\255", "\219\255\255\255\255",
      ("\145"):rep(100000), ("\129\1"):rep(100000), "",
    }
    local _, decode = require("gipc.codec").find()
    for i, message in ipairs(hostile_list) do
      local ok = pcall(decode, message)
      equal(ok, false, "message " .. i)
    end
    hostile:close()
    w:close()
    local peer, stream = support.raw_stream()
    peer.decode = decode
    stream.write "\0\0\0\1\193\0\0\0\1\5"
    fails(gipc.EBADMSG, "decoded", peer:get(60))
    equal(peer:get(60), 5)
    stream.finish()
    peer:close()
  end)
end
