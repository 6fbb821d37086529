# frozen_string_literal: true

# What is measured in Ruby: framed messages on an IO.pipe, and gipc.
BATCH = 1000
BATCH_BYTES = 8 << 20

# The number of messages that are put at once, and the count in whole batches.
def batch_of(message) = (BATCH_BYTES / message.bytesize).clamp(1, BATCH)
def whole(message, count) = count.fdiv(batch_of(message)).ceil * batch_of(message)

def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

# Messages per second.  send puts count messages; the child takes as many, and
# says so.
def rate(take, count, send)
  reports, report = IO.pipe
  child = Process.fork do
    2.times do
      take.call(count)
      report.write(".")
    end
    exit!(0)
  end
  send.call(count)
  reports.read(1)
  started = now
  send.call(count)
  reports.read(1)
  count / (now - started)
ensure
  Process.wait(child) if child
  [reports, report].each(&:close)
end

# Ends that a plain fork shares: the other process uses only its own end.
def plain(message, count, dump: nil, load: nil)
  reader, writer = IO.pipe(binmode: true)
  take = lambda do |count|
    count.times do
      bytes = reader.read(reader.read(4).unpack1("N"))
      load ? load.call(bytes) : bytes
    end
  end
  send = lambda do |count|
    count.times do
      bytes = dump ? dump.call(message) : message
      writer.write([bytes.bytesize].pack("N"), bytes)
    end
    writer.flush
  end
  writer.sync = true
  rate(take, count, send)
ensure
  [reader, writer].each(&:close)
end

def ours(message, codec, count, batch: false)
  reader, writer = Gipc.pipe(codec: codec)
  control, confirm = Gipc.pipe(codec: :raw)
  child = Gipc.start_process(reader, confirm) do |r, c|
    2.times do
      count.times { r.get }
      c.put("done")
    end
  end
  send = if batch
           messages = [message] * batch_of(message)
           -> { (count / messages.size).times { writer.put_many(messages) } }
         else
           -> { count.times { writer.put(message) } }
         end
  send.call
  control.get
  started = now
  send.call
  control.get
  count / (now - started)
ensure
  [writer, control].each(&:close)
  child.join
end
