# frozen_string_literal: true

# All handles and processes of a program, and the trace of its events.

require "json"
require "tempfile"

class OverviewTest < GipcTest
  def traced
    Tempfile.create("trace") do |file|
      Gipc.trace(file)
      yield
      Gipc.trace(nil)
      return File.readlines(file.path).map { |line| JSON.parse(line, symbolize_names: true) }
    ensure
      Gipc.trace(nil)
    end
  end

  def test_handles_are_records_until_they_are_closed
    before = Gipc.overview.map(&:id)
    reader, writer = pipe(codec: :raw)
    writer.put("x" * 100)
    read, write = Gipc.overview.reject { |record| before.include?(record.id) }.sort_by(&:id)
    assert_equal [[:read], [:write]], [read.directions, write.directions]
    assert_equal [0, 1], [write.messages_in, write.messages_out]
    assert_equal [read.pair, 104, 104], [write.pair, write.bytes_out, read.unread]
    assert_includes %i[socket ring], read.transport_in
    assert_equal [:handle, :open, nil, nil, false], [read.kind, read.state, read.transport_out, read.pid, read.busy]
    assert_nil read.idle
    assert_operator write.idle, :>=, 0
    reader.close
    writer.close
    assert_equal before, Gipc.overview.map(&:id)
  end

  def test_processes_are_records_and_a_table_has_a_line_for_each
    child = exec([*RUBY, "-e", "$stdin.read"], stdin: :pipe, name: "a\nchild")
    @streams << child.stdin
    all = Gipc.overview
    record = all.find { |one| one.pid == child.pid }
    assert_equal [:process, "a\nchild", :running, nil, nil],
                 [record.kind, record.name, record.state, record.code, record.signal]
    lines = all.to_s.lines
    assert_equal [all.size + 1, all.to_a.last], [lines.size, all[all.size - 1]]
    assert_output("#{all}\n") { puts all }
    assert_equal %w[id kind name pid state age idle transport queued unread in out], lines.first.split
    assert(lines.any? { |line| line.include?("a?child") && line.include?(" #{child.pid} ") })
    child.kill
    child.join
    assert_empty(Gipc.overview.select { |one| one.pid == child.pid && one.signal != 9 })
  end

  def test_events_are_json
    pid = nil
    events = traced do
      reader, writer = pipe
      writer.put("hello")
      assert_equal "hello", reader.get
      child = exec([*RUBY, "-e", "exit 3"], name: "a \"child\" \u20ac")
      pid = child.pid
      child.join
    end
    assert_equal %w[put get start end], events.map { |event| event[:event] }
    assert_equal [::Process.pid], events.map { |event| event[:pid] }.uniq
    assert_equal [pid, "a \"child\" \u20ac"], events[2].values_at(:child, :name)
    assert_equal [pid, 3], events[3].values_at(:child, :code)
  end

  def test_what_is_no_descriptor_is_refused
    [-1, "a", 1.5].each { |wrong| assert_raises(ArgumentError) { Gipc.trace(wrong) } }
    assert_raises(Errno::EBADF) { Gipc.trace(1 << 20) }
    File.open(File::NULL) { |file| assert_raises(Errno::EINVAL) { Gipc.trace(file) } }
  end
end
