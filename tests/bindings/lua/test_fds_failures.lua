-- Messages with descriptors that fail: nothing is left open, as the suite checks after each
-- test.
local gipc = require "gipc"
local native = require "gipc.native"
local support = require "support"
local equal, fails = support.equal, support.fails

local function raw()
  if os.getenv "GIPC_TEST_OS" == "posix" then
    support.not_here "messages have descriptors on Linux only"
  end
  return gipc.pipe { codec = "raw" }
end

-- In a child that may have few descriptors, of which none is left.
local function get_without_room(reader, answer)
  local files = {}
  repeat
    files[#files + 1] = io.open "/dev/null"
  until #files > 0 and not io.open "/dev/null"
  local message = reader:get(60)
  local fds, _, code = reader:take_fds()
  for _, file in ipairs(files) do
    file:close()
  end
  answer:put { message, fds == nil, code == native.EMFILE, reader:get(60) }
end

return function(test)
  test("a_reader_without_room_is_told", function()
    local reader, writer = raw()
    local answers, answer = gipc.pipe()
    local a, b = gipc.pipe { codec = "raw" }
    local options = { rlimits = { nofile = 40 } }
    local child = assert(gipc.start_process(options, get_without_room, reader, answer))
    writer:put("a", 10, { b:getfd(), b:getfd() })
    writer:put "b"
    b:close()
    assert(child:join(60))
    local got = answers:get(60)
    equal(got[1], "a")
    equal(got[2] and got[3], true)
    equal(got[4], "b")
    fails(gipc.EOF, ".", a:get(10)) -- no copy is left
    for _, h in ipairs { writer, answers, a } do
      h:close()
    end
  end)

  test("those_of_a_message_over_the_limit_are_closed", function()
    local reader, writer = raw()
    local a, b = gipc.pipe { codec = "raw" }
    reader:set_limit(5)
    equal(writer:put("beyond", 10, { b:getfd() }), true)
    b:close()
    fails(gipc.ETOOBIG, ".", reader:get(10))
    fails(gipc.EOF, ".", a:get(10))
    for _, h in ipairs { reader, writer, a } do
      h:close()
    end
  end)

  test("a_launcher_that_dies_in_a_message_cuts_it", function()
    local cut = [[printf '\000\000\000\005ab'; kill -9 $$]]
    local child, h = gipc.launch({ "sh", "-c", cut }, { codec = "raw" })
    fails(gipc.ETRUNCATED, ".", h:get(60))
    h:close()
    assert(child:join(60))
    equal(child:exitcode(), -9)
  end)

  test("no_descriptor_goes_through_a_launcher", function()
    local child, h = gipc.launch({ "cat" }, { codec = "raw" })
    fails(gipc.EOPNOTSUPP, ".", h:put("a", 10, { 0 }))
    equal(h:put "b", true)
    equal(h:get(60), "b")
    h:close()
    assert(child:join(60))
  end)
end
