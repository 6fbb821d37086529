# frozen_string_literal: true

# Hands an array to a child without a copy of it in a message: in a file without a name in
# memory, whose descriptor goes with the message.  The child maps it.
require "gipc"

Warning[:experimental] = false # IO::Buffer
COUNT = 1 << 20
SIZE = 8 * COUNT

def make_array
  File.open("/dev/shm", File::RDWR | File::TMPFILE, 0o600) do |file|
    file.truncate(SIZE)
    buffer = IO::Buffer.map(file)
    COUNT.times { |i| buffer.set_value(:S64, 8 * i, i) }
    yield file
  end
end

# Ruby has no call for seals, so this is for peers that trust each other: one that
# shrinks the file ends this process by SIGBUS.
def sum_of(file)
  buffer = IO::Buffer.map(file, SIZE, 0, IO::Buffer::READONLY)
  COUNT.times.sum { |i| buffer.get_value(:S64, 8 * i) }
end

mine, its = Gipc.pipe(duplex: true)
child = Gipc.start_process(its) do |h|
  while h.get == :sum
    File.open(h.take_fds.first) { |file| h.put(sum_of(file)) }
  end
end
make_array { |file| mine.put(:sum, ios: [file]) }
p mine.get
mine.put(:end)
child.join
