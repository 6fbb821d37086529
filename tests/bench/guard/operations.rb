# frozen_string_literal: true

# One operation of the Ruby package, a number of times; see operations.py.
#   operations.rb [OPERATION COUNT]

require "gipc"

MESSAGE = ("x" * 64).b.freeze

def put_get(count, codec)
  reader, writer = Gipc.pipe(codec: codec)
  count.times do
    writer.put(MESSAGE)
    reader.get
  end
end

def many(count)
  reader, writer = Gipc.pipe(codec: :raw)
  (count / 100).times do
    writer.put_many([MESSAGE] * 100)
    100.times { reader.get }
  end
end

OPERATIONS = {
  "put_get_64" => [500, ->(count) { put_get(count, :raw) }],
  "put_get_64_marshal" => [500, ->(count) { put_get(count, :marshal) }],
  "put_many_get_64" => [2000, ->(count) { many(count) }],
  "pipe_close" => [100, ->(count) { count.times { Gipc.pipe.each(&:close) } }]
}.freeze

if ARGV.empty?
  OPERATIONS.each { |name, (count, _)| puts "#{name} #{count} #{2 * count}" }
else
  # A collection is in the longer of the two runs or not, as chance has it.
  GC.disable
  OPERATIONS.fetch(ARGV[0]).last.call(Integer(ARGV[1]))
end
